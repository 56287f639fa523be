"""The warehouse that the settings choose, for the embedded engine."""

from functools import partial

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.replication.destinations import Destination
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination
from dvd_rental_dagster.replication.destinations.json_folder import JsonDestination
from dvd_rental_dagster.replication.destinations.postgres_database import PostgresDestination
from dvd_rental_dagster.replication.destinations.snowflake_database import SnowflakeDestination
from dvd_rental_dagster.replication.destinations.snowflake_session import PARAMETERS
from dvd_rental_dagster.replication.ledger import Ledger
from dvd_rental_dagster.settings import Engine, Settings, Warehouse
from dvd_rental_dagster.snowflake.account import credentials, loading_role, opened


def chosen_destination(settings: Settings, *, wait_seconds: float = 30) -> Destination:
    """Where rows go; nothing is opened yet. Another writer is waited for that long.

    Raises:
        SettingsError: the embedded engine does not write there, or the settings do not say where it is.
    """
    match settings.warehouse:
        case Warehouse.DUCKDB:
            return DuckDBDestination(settings.duckdb_path, wait_seconds=wait_seconds)
        case Warehouse.POSTGRES:
            return PostgresDestination(_postgres_url(settings), wait_seconds=wait_seconds)
        case Warehouse.SNOWFLAKE:
            return _snowflake_destination(settings, wait_seconds)
        case Warehouse.JSON:
            return JsonDestination(settings.json_folder, wait_seconds=wait_seconds)


def read_ledger(settings: Settings, *, wait_seconds: float = 30) -> Ledger | None:
    """How far the warehouse is; none where nothing is loaded yet, and nothing is made there to find out.

    Raises:
        SettingsError: as with ``chosen_destination``.
        WarehouseBusyError: another process still writes to it after ``wait_seconds``.
        WarehouseError: it does not answer.
    """
    if settings.warehouse is Warehouse.DUCKDB and not settings.duckdb_path.exists():
        return None
    with chosen_destination(settings, wait_seconds=wait_seconds) as warehouse:
        return warehouse.read_ledger()


def check_models(settings: Settings) -> None:
    """Make sure that the models run on the warehouse, and that the settings say how to get in.

    Raises:
        SettingsError: they do not run there, or Snowflake's account is not known.
    """
    if settings.warehouse is Warehouse.SNOWFLAKE:
        credentials(settings)
    itself = {Warehouse.POSTGRES: "ask the database itself", Warehouse.JSON: "read the files themselves"}
    if settings.warehouse in itself and settings.engine is Engine.AIRBYTE:
        raise SettingsError(
            "With DVD_RENTAL_ENGINE=airbyte the graph runs on duckdb or snowflake, and DVD_RENTAL_WAREHOUSE is "
            f"{settings.warehouse.value}. Set DVD_RENTAL_WAREHOUSE=snowflake or duckdb."
        )
    if settings.warehouse in itself:
        raise SettingsError(
            "The models, and what is published, run on duckdb or snowflake, and DVD_RENTAL_WAREHOUSE is "
            f"{settings.warehouse.value}. Use dvd-rental sync, verify, resync and status with it, and "
            f"{itself[settings.warehouse]}; or set DVD_RENTAL_WAREHOUSE=duckdb."
        )


def _snowflake_destination(settings: Settings, wait_seconds: float) -> Destination:
    """The database of the account, as the role that loads; the account's own settings are looked at right away."""
    credentials(settings)
    options = {
        "role": loading_role(settings),
        "warehouse": settings.snowflake_warehouse,
        "database": settings.snowflake_database,
        "session_parameters": PARAMETERS | {"LOCK_TIMEOUT": max(1, int(wait_seconds))},
    }
    place = f"{settings.snowflake_database} in Snowflake's account {settings.snowflake_account}"
    return SnowflakeDestination(partial(opened, settings, **options), place)


def _postgres_url(settings: Settings) -> str:
    """The connection string; no error repeats it, for it may hold a password."""
    if settings.warehouse_url is None:
        raise SettingsError(
            "DVD_RENTAL_WAREHOUSE=postgres needs the database to write into. Set DVD_RENTAL_WAREHOUSE_URL, such as "
            "postgresql://user:password@host:5432/warehouse."
        )
    url = settings.warehouse_url.get_secret_value()
    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        raise SettingsError(
            "DVD_RENTAL_WAREHOUSE_URL is no connection string. It looks like "
            "postgresql://user:password@host:5432/warehouse, with special characters percent-encoded."
        ) from None
    return url
