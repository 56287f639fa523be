"""What Airbyte has written into Snowflake: names in upper case, numbers as FLOAT or NUMBER, instants as timestamps."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dvd_rental_dagster.airbyte.arrival import by_stream
from dvd_rental_dagster.airbyte.destination_configuration import RAW
from dvd_rental_dagster.replication.column import Column, Kind
from dvd_rental_dagster.replication.destinations import Checksum
from dvd_rental_dagster.replication.destinations.duckdb_comparison import DuckDBComparison
from dvd_rental_dagster.replication.destinations.duckdb_file import open_for_writing
from dvd_rental_dagster.replication.destinations.duckdb_types import column_type, quoted, refusing_unfit_values
from dvd_rental_dagster.replication.table import Table
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.snowflake.session import Open, Session, session

_FROM_MICROSECONDS = {Kind.TIMESTAMP: "make_timestamp", Kind.TIMESTAMPTZ: "make_timestamptz"}
"""Instants travel as numbers, which no parameter of the account and no zone of the session changes."""


class ArrivedInSnowflake:
    """What is in the account's database; see ``Arrived``."""

    def __init__(self, settings: Settings, open_connection: Open) -> None:
        self._settings = settings
        self._open = open_connection

    def columns(self, schema: str) -> dict[str, frozenset[str]]:
        """See ``Arrived.columns``."""
        with session(self._open) as account:
            _, found = account.rows(
                "select lower(table_name), lower(column_name) from information_schema.columns where table_schema = %s",
                (schema.upper(),),
            )
        tables: dict[str, set[str]] = {}
        for table, column in found:
            tables.setdefault(table, set()).add(column)
        place = f"Snowflake's database {self._settings.snowflake_database}"
        return by_stream(
            self._settings, {table: frozenset(columns) for table, columns in tables.items()}, place, schema
        )

    @contextmanager
    def side(self) -> Iterator["FetchedRows"]:
        """See ``Arrived.side``."""
        with (
            session(self._open) as account,
            tempfile.TemporaryDirectory() as folder,
            open_for_writing(Path(folder) / "fetched.duckdb") as fetched,
        ):
            fetched.execute(f"create schema {RAW}")
            yield FetchedRows(account, fetched)

    def last_job(self) -> int | None:
        """The number of the last job that wrote a row; none where there are no rows.

        Jobs and instants grow together, so each stream's youngest row tells.
        """
        youngest = " union all ".join(
            f"select max_by(_airbyte_meta, _airbyte_extracted_at) as meta from {_table(stream.name)}"  # noqa: S608
            for stream in self._settings.streams
        )
        with session(self._open) as account:
            _, [(job_id,)] = account.rows(f"select max(meta:sync_id::number) from ({youngest})")  # noqa: S608
        return None if job_id is None else int(job_id)


class FetchedRows:
    """Rows of ``raw``, fetched into a file of DuckDB's that compares them as it does its own; see ``Side``."""

    def __init__(self, account: Session, fetched: duckdb.DuckDBPyConnection) -> None:
        self._account = account
        self._fetched = fetched

    def checksums(self, table: Table, rows: pa.RecordBatchReader) -> tuple[Checksum, Checksum]:
        """See ``Destination.checksums``."""
        self._fetch(table)
        with refusing_unfit_values(table.stream):
            return DuckDBComparison(self._fetched, table).checksums(rows)

    def differing_keys(self, table: Table, rows: pa.RecordBatchReader, limit: int) -> tuple[tuple[Any, ...], ...]:
        """See ``Destination.differing_keys``."""
        self._fetch(table)
        with refusing_unfit_values(table.stream):
            return DuckDBComparison(self._fetched, table).differing_keys(rows, limit)

    def _fetch(self, table: Table) -> None:
        name = f"{RAW}.{quoted(table.stream.name)}"
        types = ", ".join(f"{quoted(column.name)} {column_type(column)}" for column in table.columns)
        self._fetched.execute(f"create or replace table {name} ({types})")
        asked = ", ".join(_asked(column) for column in table.columns)
        values = ", ".join(_value(column, number) for number, column in enumerate(table.columns))
        for batch in self._account.batches(f"select {asked} from {_table(table.stream.name)}"):  # noqa: S608
            positions = batch.rename_columns([str(number) for number in range(batch.num_columns)])
            self._fetched.register("batch", positions)
            self._fetched.execute(f"insert into {name} select {values} from batch")  # noqa: S608
            self._fetched.unregister("batch")


def _table(stream: str) -> str:
    return f"{RAW}.{quoted(stream.upper())}"


def _asked(column: Column) -> str:
    name = quoted(column.name.upper())
    return f"date_part(epoch_microsecond, {name})" if column.kind in _FROM_MICROSECONDS else name


def _value(column: Column, position: int) -> str:
    value = quoted(str(position))
    if column.kind in _FROM_MICROSECONDS:
        value = f"{_FROM_MICROSECONDS[column.kind]}(cast({value} as bigint))"
    return f"cast({value} as {column_type(column)})"
