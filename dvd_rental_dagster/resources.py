"""What the graph's assets are given: on Snowflake, the connections of ``dagster_snowflake``'s resource."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from dagster import AssetExecutionContext, InitResourceContext, ResourceDefinition, resource

from dvd_rental_dagster.airbyte.arrival import Arrived, ArrivedInFile
from dvd_rental_dagster.airbyte.snowflake_arrival import ArrivedInSnowflake
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.settings import Settings, Warehouse, load_settings
from dvd_rental_dagster.snowflake.account import NETWORK_SECONDS, SESSION, address, credentials, not_let_in, place
from dvd_rental_dagster.snowflake.session import Open

if TYPE_CHECKING:
    from dagster_snowflake import SnowflakeResource
    from snowflake.connector import SnowflakeConnection

SNOWFLAKE = "snowflake"
"""The resource's key; there is none on another warehouse."""


def resource_keys(settings: Settings) -> set[str]:
    """What an asset that reads the warehouse requires."""
    return {SNOWFLAKE} if settings.warehouse is Warehouse.SNOWFLAKE else set()


def resources(settings: Settings) -> dict[str, ResourceDefinition]:
    """The resources by their keys; nothing is connected yet, and no secret is part of a definition.

    Raises:
        SettingsError: the warehouse is Snowflake, and the extra is not installed.
    """
    if settings.warehouse is not Warehouse.SNOWFLAKE:
        return {}
    try:
        # Takes seconds, which a run that is forked from a warm process then does not spend.
        import dagster_snowflake  # noqa: F401, PLC0415
    except ImportError as error:
        raise SettingsError(
            "Dagster's resource for Snowflake is not installed. Install the extra: "
            "pip install 'dvd-rental-dagster[snowflake]'."
        ) from error
    return {SNOWFLAKE: _snowflake}


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
