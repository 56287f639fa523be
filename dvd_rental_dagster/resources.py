"""What the graph's assets are given: on Snowflake, the connections of ``dagster_snowflake``'s resource."""

from typing import TYPE_CHECKING, Any, cast

from dagster import AssetExecutionContext, InitResourceContext, ResourceDefinition, resource

from dvd_rental_dagster.airbyte.arrival import Arrived, ArrivedInFile
from dvd_rental_dagster.airbyte.snowflake_arrival import ArrivedInSnowflake
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.settings import Settings, Warehouse, load_settings
from dvd_rental_dagster.snowflake.account import NETWORK_SECONDS, SESSION, address, credentials, place
from dvd_rental_dagster.snowflake.session import Open

if TYPE_CHECKING:
    from dagster_snowflake import SnowflakeResource

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


def connections(context: AssetExecutionContext) -> Open:
    """What opens a connection through the resource."""
    return cast("Open", getattr(context.resources, SNOWFLAKE).get_connection)


def arrived(context: AssetExecutionContext, settings: Settings) -> Arrived:
    """Where the rows that Airbyte writes are looked for."""
    if settings.warehouse is Warehouse.SNOWFLAKE:
        return ArrivedInSnowflake(settings, connections(context))
    return ArrivedInFile(settings)
