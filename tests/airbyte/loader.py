"""What a sync of the fake moves: read from the source by the embedded engine, written as Airbyte writes it.

Numerics go through a double, which is what arrives in DuckDB, integers are as wide as they get, a domain and what has
no type of its own is text, and so are the instants of change data capture; a delete in the history keeps its key alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
from emulation import Emulator
from psycopg.conninfo import make_conninfo

from dvd_rental_dagster.catalog import STREAMS, Stream
from dvd_rental_dagster.replication import sync
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination, open_for_writing

_ROW_BYTES = 100
_CDC_TIMES = {"_ab_cdc_updated_at", "_ab_cdc_deleted_at"}
_DOMAINS = {"release_year"}


class Loader:
    """Airbyte's workers and its destination: a warehouse's file."""

    number = "double"

    def __init__(self, folder: Path, warehouse: Path) -> None:
        self._folder = folder
        self._warehouse = warehouse
        self._jobs: dict[str, list[int]] = {}

    def move(self, job_id: int, connection: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        """Bring the connection's schema up to date; rows and bytes of each stream that moved."""
        configuration, schema = source["configuration"], connection["namespaceFormat"]
        method, shadow = configuration["replication_method"], self._folder / f"read_for_{schema}.duckdb"
        url = make_conninfo(
            host=configuration["host"], port=configuration["port"], dbname=configuration["database"],
            user=configuration["username"], password=configuration["password"],
        )  # fmt: skip
        report = sync(
            url, DuckDBDestination(shadow), STREAMS,
            publication=method["publication"], slot=method["replication_slot"],
        )  # fmt: skip
        jobs = self._jobs.setdefault(schema, [])
        jobs[report.sync_id - 1 :] = [job_id]
        with open_for_writing(self._warehouse) as opened:
            opened.execute(f"create schema if not exists {schema}")
            opened.execute(f"attach '{shadow}' as shadow (read_only)")
            for stream in STREAMS:
                if report.streams[stream.name].changed:
                    _write(opened, schema, stream, jobs, self.number)
        return {name: (rows := report.streams[name].rows, rows * _ROW_BYTES) for name in report.changed}


class SnowflakeLoader(Loader):
    """Airbyte's destination for Snowflake: upper case, and numerics as it is told to write them."""

    number = "decimal(38, 9)"

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        super().__init__(folder, folder / "staged.duckdb")
        self._emulator = emulator

    def move(self, job_id: int, connection: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        """See ``Loader.move``."""
        moved = super().move(job_id, connection, source)
        self._emulator.tell("load", self._warehouse)
        return moved


def _write(opened: duckdb.DuckDBPyConnection, schema: str, stream: Stream, jobs: list[int], number: str) -> None:
    columns = opened.execute(
        "select column_name, data_type from duckdb_columns() where database_name = 'shadow' and schema_name = ?"
        " and table_name = ? order by column_index",
        [schema, stream.name],
    ).fetchall()
    values = ", ".join(f"{_value(name, kind, stream, number)} as {name}" for name, kind in columns)
    opened.execute(
        f"create or replace table {schema}.{stream.name} as select {values} from shadow.{schema}.{stream.name}",
        {"jobs": jobs},
    )


def _value(name: str, kind: str, stream: Stream, number: str) -> str:
    if name == "_airbyte_meta":
        return "json_object('sync_id', $jobs[cast(_airbyte_meta ->> 'sync_id' as integer)], 'changes', json_array())"
    if name in _CDC_TIMES:
        return f"strftime(timezone('UTC', {name}), '%Y-%m-%dT%H:%M:%S.%fZ')"
    if name.startswith(("_airbyte_", "_ab_cdc_")):
        return name
    value = name
    if kind.startswith("DECIMAL"):
        value = f"cast(cast({name} as double) as {number})"
    elif name in _DOMAINS:
        value = f"cast({name} as varchar)"
    elif kind in {"SMALLINT", "INTEGER"}:
        value = f"cast({name} as bigint)"
    elif kind == "BLOB":
        value = rf"'\x' || lower(hex({name}))"
    return value if name in stream.primary_key else f"case when _ab_cdc_deleted_at is null then {value} end"
