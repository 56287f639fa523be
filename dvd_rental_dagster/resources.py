"""What the graph's assets are given: connections of ``dagster_snowflake``'s resource, ``dagster_airbyte``'s workspace.

They are made when a step begins: until then nothing is connected, and no secret is part of a definition.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from dagster import AssetExecutionContext, BetaWarning, InitResourceContext, ResourceDefinition, resource
from pydantic import SecretStr

from dvd_rental_dagster.airbyte.address import Address
from dvd_rental_dagster.airbyte.arrival import Arrived, ArrivedInFile
from dvd_rental_dagster.airbyte.authentication import Application, User
from dvd_rental_dagster.airbyte.server import Server, chosen_server
from dvd_rental_dagster.airbyte.snowflake_arrival import ArrivedInSnowflake
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.settings import Engine, Settings, Warehouse, load_settings
from dvd_rental_dagster.snowflake.account import NETWORK_SECONDS, SESSION, address, credentials, not_let_in, place
from dvd_rental_dagster.snowflake.session import Open

if TYPE_CHECKING:
    from dagster_airbyte import AirbyteCloudWorkspace, AirbyteWorkspace
    from dagster_snowflake import SnowflakeResource
    from snowflake.connector import SnowflakeConnection

AIRBYTE = "airbyte"
"""The key of Airbyte's resource; there is none with another engine."""
SNOWFLAKE = "snowflake"
"""The key of Snowflake's resource; there is none on another warehouse."""


def airbyte_keys(settings: Settings) -> set[str]:
    """What an asset that Airbyte fills requires."""
    return {AIRBYTE} if settings.engine is Engine.AIRBYTE else set()


def resource_keys(settings: Settings) -> set[str]:
    """What an asset that reads the warehouse requires."""
    return {SNOWFLAKE} if settings.warehouse is Warehouse.SNOWFLAKE else set()


def resources(settings: Settings) -> dict[str, ResourceDefinition]:
    """The resources by their keys. What they are made of takes seconds to import, which a forked run does not spend.

    Raises:
        SettingsError: an extra that they need is not installed, or Airbyte's address or credentials cannot be used.
    """
    found: dict[str, ResourceDefinition] = {}
    if settings.engine is Engine.AIRBYTE:
        chosen_server(settings.airbyte)
        try:
            import dagster_airbyte  # noqa: F401, PLC0415
        except ImportError as error:
            raise _not_installed("Airbyte", AIRBYTE) from error
        found[AIRBYTE] = _airbyte
    if settings.warehouse is Warehouse.SNOWFLAKE:
        try:
            import dagster_snowflake  # noqa: F401, PLC0415
        except ImportError as error:
            raise _not_installed("Snowflake", SNOWFLAKE) from error
        found[SNOWFLAKE] = _snowflake
    return found


def _not_installed(what: str, extra: str) -> SettingsError:
    return SettingsError(
        f"Dagster's resource for {what} is not installed. Install the extra: pip install 'dvd-rental-dagster[{extra}]'."
    )


@resource(description="The workspace of DVD_RENTAL_AIRBYTE_*, whose syncs the assets of the streams start or join.")
def _airbyte(_: InitResourceContext) -> "AirbyteCloudWorkspace | AirbyteWorkspace":
    """Configuration alone: its own client knows no job that is queued, and drops the server's words.

    The classes require a workspace; empty stands for the only one that the server has.
    """
    from dagster_airbyte import AirbyteCloudWorkspace, AirbyteWorkspace  # noqa: PLC0415

    chosen = chosen_server(load_settings().airbyte)
    wanted: dict[str, Any] = {
        "workspace_id": str(chosen.workspace_id or ""),
        "poll_timeout": chosen.sync_limit_seconds,
        "cancel_on_termination": chosen.cancel,
        "poll_previous_running_sync": True,
    }
    match chosen.who:
        case Application(client_id, secret):
            wanted |= {"client_id": client_id, "client_secret": secret.get_secret_value()}
        case User(username, password):
            wanted |= {"username": username, "password": password.get_secret_value()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)  # that the classes are, they say at every run
        if chosen.address.is_cloud:
            return AirbyteCloudWorkspace(**wanted)
        return AirbyteWorkspace(
            **wanted,
            rest_api_base_url=chosen.address.public,
            configuration_api_base_url=chosen.address.configuration,
        )


@resource(description="Connections to the account of DVD_RENTAL_SNOWFLAKE_*, under the role of the transformer.")
def _snowflake(_: InitResourceContext) -> "SnowflakeResource":
    from dagster_snowflake import SnowflakeResource  # noqa: PLC0415

    settings = load_settings()
    found = credentials(settings)
    names = {"private_key_file": "private_key_path", "private_key_file_pwd": "private_key_password"}
    wanted: dict[str, Any] = {names.get(name, name): value for name, value in (found | place(settings)).items()}
    return SnowflakeResource(
        **wanted,
        network_timeout=NETWORK_SECONDS,
        additional_snowflake_connection_args=address(settings) | {"session_parameters": SESSION},
    )


def server(context: AssetExecutionContext) -> Server:
    """The server that the resource names, for a client of our own."""
    from dagster_airbyte import AirbyteWorkspace  # noqa: PLC0415  # who has the resource has paid for it

    workspace: AirbyteCloudWorkspace | AirbyteWorkspace = getattr(context.resources, AIRBYTE)
    who: Application | User | None = None
    if workspace.client_id is not None and workspace.client_secret is not None:
        who = Application(workspace.client_id, SecretStr(workspace.client_secret))
    elif isinstance(workspace, AirbyteWorkspace) and workspace.username is not None and workspace.password is not None:
        who = User(workspace.username, SecretStr(workspace.password))
    return Server(
        address=Address(workspace.rest_api_base_url, workspace.configuration_api_base_url),
        who=who,
        workspace_id=UUID(workspace.workspace_id) if workspace.workspace_id else None,
        sync_limit_seconds=workspace.poll_timeout if workspace.poll_timeout is not None else math.inf,
        cancel=workspace.cancel_on_termination,
    )


def connections(context: AssetExecutionContext, settings: Settings) -> Open:
    """What opens a connection through the resource."""
    return partial(_connection, getattr(context.resources, SNOWFLAKE), settings)


@contextmanager
def _connection(account: "SnowflakeResource", settings: Settings) -> Iterator["SnowflakeConnection"]:
    from snowflake.connector import Error  # noqa: PLC0415  # who has the resource has paid for it

    with ExitStack() as stack:
        try:
            connection = stack.enter_context(account.get_connection())
        except Error as error:
            raise not_let_in(settings, error) from error
        try:
            yield connection
        except BaseException:
            connection.close()  # the resource closes it only when all went well
            raise


def arrived(context: AssetExecutionContext, settings: Settings) -> Arrived:
    """Where the rows that Airbyte writes are looked for."""
    if settings.warehouse is Warehouse.SNOWFLAKE:
        return ArrivedInSnowflake(settings, connections(context, settings))
    return ArrivedInFile(settings)
