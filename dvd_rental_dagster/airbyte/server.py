"""The server that the settings name."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import SecretStr

from dvd_rental_dagster.airbyte.address import Address, address
from dvd_rental_dagster.airbyte.authentication import Application, User
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.inventory import Inventory
from dvd_rental_dagster.airbyte.provisioning import Provisioning
from dvd_rental_dagster.airbyte.wanted import wanted
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.settings import AirbyteSettings, Settings
from dvd_rental_dagster.source.connection_string import parts


@dataclass(frozen=True)
class Server:
    """A workspace of a server, who we are there, and how its syncs are waited for.

    ``workspace_id`` is None for the only one that the server has. After ``sync_limit_seconds`` a sync is given up;
    then, and when its run is ended, its job is cancelled if ``cancel`` says so.
    """

    address: Address
    who: Application | User | None
    workspace_id: UUID | None
    sync_limit_seconds: float
    cancel: bool

    def client(self) -> AirbyteClient:
        """A client of the server; nothing is sent yet."""
        return AirbyteClient(self.address, self.who)


def chosen_server(options: AirbyteSettings) -> Server:
    """The server of the settings; nothing is asked of it.

    Raises:
        SettingsError: the address is none, or the credentials are half set, set twice, or not those that Cloud takes.
    """
    found, who = address(options.url), credentials(options)
    if found.is_cloud and not isinstance(who, Application):
        raise SettingsError(
            "Airbyte Cloud knows applications only, and none is set. Make one in Airbyte Cloud (Settings, "
            "Applications), then set DVD_RENTAL_AIRBYTE_CLIENT_ID and DVD_RENTAL_AIRBYTE_CLIENT_SECRET."
        )
    return Server(found, who, options.workspace_id, options.sync_limit_seconds, options.cancel)


def credentials(options: AirbyteSettings) -> Application | User | None:
    """Who we are to the server; None where it asks for nobody.

    Raises:
        SettingsError: the credentials are half set, or set in both ways.
    """
    if (options.client_id is None) != (options.client_secret is None):
        raise SettingsError(
            "Half of Airbyte's credentials are set. Set both DVD_RENTAL_AIRBYTE_CLIENT_ID and "
            "DVD_RENTAL_AIRBYTE_CLIENT_SECRET."
        )
    if (options.username is None) != (options.password is None):
        raise SettingsError(
            "Half of Airbyte's credentials are set. Set both DVD_RENTAL_AIRBYTE_USERNAME and "
            "DVD_RENTAL_AIRBYTE_PASSWORD."
        )
    if options.client_id is not None and options.client_secret is not None:
        if options.username is not None:
            raise SettingsError(
                "Airbyte's credentials are set twice. Keep DVD_RENTAL_AIRBYTE_CLIENT_ID and _CLIENT_SECRET, or "
                "DVD_RENTAL_AIRBYTE_USERNAME and _PASSWORD on an older server."
            )
        return Application(options.client_id, options.client_secret)
    if options.username is not None and options.password is not None:
        return User(options.username, options.password)
    return None


def known_secrets(settings: Settings, source_url: str) -> list[SecretStr]:
    """Every secret of the settings and the source's password: what the server was once told, it can repeat."""
    told = [value for part in (settings, settings.airbyte) for _, value in part if isinstance(value, SecretStr)]
    urls = (source_url, settings.source_url, settings.airbyte.postgres_url)
    found = (parts(url.get_secret_value() if isinstance(url, SecretStr) else url) for url in urls if url is not None)
    return told + [SecretStr(url["password"]) for url in found if url.get("password")]


def provisioning(client: AirbyteClient, settings: Settings, source_url: str) -> Provisioning:
    """The workspace and what is wanted in it; ``source_url`` is that of the role that captures changes.

    Raises:
        SettingsError: a setting that something wanted needs is missing.
        AirbyteError: the workspace is not found.
    """
    desire = wanted(settings, source_url)
    client.keep_secret([connector.configuration for connector in (desire.destination, *desire.sources)])
    return Provisioning(client, Inventory(client, settings.airbyte.workspace_id), desire)
