"""What the models that people read were built from, noted beside what is published."""

import json
from dataclasses import asdict, dataclass

import duckdb

from dvd_rental_dagster.airbyte.snowflake_arrival import ArrivedInSnowflake
from dvd_rental_dagster.publication import published_warehouse, replacing
from dvd_rental_dagster.replication.destinations.duckdb_types import quoted
from dvd_rental_dagster.settings import Engine, Settings, Warehouse
from dvd_rental_dagster.snowflake.session import Open
from dvd_rental_dagster.transformation.project import fingerprint
from dvd_rental_dagster.warehouse import read_ledger


@dataclass(frozen=True)
class Build:
    """What the models were built from: the last sync, and the dbt project's files; and where they are.

    ``sync_id`` counts the embedded engine's syncs; with Airbyte it is the latest job that wrote a row. ``warehouse`` is
    what ``build_place`` tells.
    """

    sync_id: int
    fingerprint: str
    warehouse: str = Warehouse.DUCKDB.value


def build_place(settings: Settings) -> str:
    """Where the models are built: the warehouse of this home, or account, database and schema of Snowflake."""
    if settings.warehouse is not Warehouse.SNOWFLAKE:
        return settings.warehouse.value
    account = (settings.snowflake_account or "").upper()
    return f"{account}.{settings.snowflake_database}.{settings.snowflake_schema}"


def record_build(settings: Settings, open_connection: Open | None = None) -> Build:
    """Note what the models were built from; on Snowflake through a connection that ``open_connection`` opens.

    Raises:
        WarehouseError: there is no room for the note, or the warehouse does not tell.
    """
    sync_id = _published_sync(settings) if open_connection is None else _account_sync(settings, open_connection)
    build = Build(sync_id or 0, fingerprint(), build_place(settings))
    with replacing(settings.published_path / "build.json") as note:
        note.write_text(json.dumps(asdict(build)))
    return build


def recorded_build(settings: Settings) -> Build | None:
    """What the models in the warehouse were built from; none when the last build was elsewhere, or none was yet."""
    path = settings.published_path / "build.json"
    if not path.exists() or (settings.warehouse is Warehouse.DUCKDB and not published_warehouse(settings).exists()):
        return None
    build = Build(**json.loads(path.read_text()))
    return build if build.warehouse == build_place(settings) else None


def _published_sync(settings: Settings) -> int | None:
    with duckdb.connect(published_warehouse(settings), read_only=True) as connection:
        row = connection.execute(_last_sync(settings)).fetchone()
    return int(row[0]) if row and row[0] is not None else None


def _last_sync(settings: Settings) -> str:
    """The query for the last sync: of the ledger, or of the rows, each of which carries its job's number.

    Jobs and instants grow together, so each stream's youngest row tells, and no other is parsed.
    """
    if settings.engine is Engine.EMBEDDED:
        return "select max(sync_id) from ledger.position"
    youngest = " union all ".join(
        f"select arg_max(_airbyte_meta, _airbyte_extracted_at) as meta from raw.{quoted(stream.name)}"  # noqa: S608
        for stream in settings.streams
    )
    return f"select max(cast(cast(meta as json) ->> 'sync_id' as bigint)) from ({youngest})"  # noqa: S608


def _account_sync(settings: Settings, open_connection: Open) -> int | None:
    if settings.engine is Engine.AIRBYTE:
        return ArrivedInSnowflake(settings, open_connection).last_job()
    ledger = read_ledger(settings)
    return None if ledger is None else ledger.sync_id
