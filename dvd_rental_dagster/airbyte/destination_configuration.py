"""The settings as the configuration of one of Airbyte's destinations: Snowflake, PostgreSQL or Local JSON.

The fields are those of the connectors' specifications: docs.airbyte.com, among the destinations.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from dvd_rental_dagster.airbyte.source_configuration import read_file, ssl_mode
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.settings import AirbyteDestination, AirbyteSettings, Settings
from dvd_rental_dagster.snowflake.account import layout, loading_role
from dvd_rental_dagster.source.connection_string import parts

RAW = "raw"
_LOCAL_JSON = "a625d593-bba5-4a1c-a53d-2d246268a816"


@dataclass(frozen=True)
class DestinationKind:
    """A destination's connector and what it can do.

    ``definition_id`` is given where the API knows no name of the type. Without ``dedups`` it can only append, and
    without namespaces all of a connection's streams lie in one place.
    """

    type: str
    configuration: dict[str, Any]
    definition_id: str | None = None
    dedups: bool = True


def destination_kind(settings: Settings) -> DestinationKind:
    """The destination that DVD_RENTAL_AIRBYTE_DESTINATION chooses.

    Raises:
        SettingsError: a setting that it needs is missing.
    """
    match settings.airbyte.destination:
        case AirbyteDestination.SNOWFLAKE:
            return DestinationKind("snowflake", _snowflake(settings))
        case AirbyteDestination.POSTGRES:
            return DestinationKind("postgres", _postgres(settings.airbyte))
        case AirbyteDestination.LOCAL_JSON:
            configuration = {"destination_path": settings.airbyte.local_json_path}
            return DestinationKind("local-json", configuration, definition_id=_LOCAL_JSON, dedups=False)


def _snowflake(settings: Settings) -> dict[str, Any]:
    if settings.snowflake_account is None or settings.airbyte.snowflake_user is None:
        raise SettingsError(
            "The Snowflake account or the user that Airbyte is there is not known. Set DVD_RENTAL_SNOWFLAKE_ACCOUNT "
            "and DVD_RENTAL_AIRBYTE_SNOWFLAKE_USER."
        )
    names = layout(settings)
    return {
        "host": f"{settings.snowflake_account}.snowflakecomputing.com",
        "role": loading_role(settings),
        "warehouse": names.warehouse,
        "database": names.database,
        "schema": RAW.upper(),
        "username": settings.airbyte.snowflake_user,
        "credentials": _snowflake_credentials(settings.airbyte),
        "cdc_deletion_mode": "Hard delete",
        "number_data_type": "NUMBER(38,9)",
    }


def _snowflake_credentials(options: AirbyteSettings) -> dict[str, Any]:
    key_path, password = options.snowflake_private_key_path, options.snowflake_password
    if (key_path is None) == (password is None):
        raise SettingsError(
            "Airbyte needs exactly one of a private key and a password for Snowflake. Set "
            "DVD_RENTAL_AIRBYTE_SNOWFLAKE_PRIVATE_KEY_PATH or DVD_RENTAL_AIRBYTE_SNOWFLAKE_PASSWORD."
        )
    if key_path is None:
        return {"auth_type": "Username and Password", "password": password}
    key = read_file(key_path, "DVD_RENTAL_AIRBYTE_SNOWFLAKE_PRIVATE_KEY_PATH")
    credentials: dict[str, Any] = {"auth_type": "Key Pair Authentication", "private_key": SecretStr(key)}
    if options.snowflake_private_key_passphrase is not None:
        credentials["private_key_password"] = options.snowflake_private_key_passphrase
    return credentials


def _postgres(options: AirbyteSettings) -> dict[str, Any]:
    if options.postgres_url is None:
        raise SettingsError(
            "The PostgreSQL to write into is not set. Set DVD_RENTAL_AIRBYTE_POSTGRES_URL to its connection string, "
            "with the host as Airbyte sees it."
        )
    address = parts(options.postgres_url.get_secret_value())
    return {
        "host": address.get("host", "localhost"),
        "port": int(address.get("port", "5432")),
        "database": address.get("dbname", address.get("user", "")),
        "schema": RAW,
        "username": address.get("user", ""),
        "password": SecretStr(address.get("password", "")),
        "ssl_mode": ssl_mode(
            address.get("sslmode", "prefer"), options.postgres_ca_path, "DVD_RENTAL_AIRBYTE_POSTGRES_CA_PATH"
        ),
        "tunnel_method": {"tunnel_method": "NO_TUNNEL"},
        "cdc_deletion_mode": "Hard delete",
    }
