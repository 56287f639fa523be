"""A source database and its replica, and what must hold between them after every sync."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg import sql

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication import SyncReport, sync
from dvd_rental_dagster.replication.destinations import Destination
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination
from dvd_rental_dagster.replication.destinations.duckdb_types import quoted
from dvd_rental_dagster.replication.verification import verify

PUBLICATION = "everything"
TABLES = """
    create table item (id integer primary key, name text, price numeric(8, 2), notes text);
    create table place (x integer, y integer, label text, primary key (x, y));
    create table empty (id integer primary key);
"""
STREAMS = (Stream("item", ("id",)), Stream("place", ("x", "y")), Stream("empty", ("id",)))
FACTS = "create table reading (id integer primary key, value numeric(6, 2), taken_at timestamptz)"
READING = Stream("reading", ("id",))
_SLOT_IS_FREE = """
    do $$ begin
        while exists (select from pg_replication_slots where slot_name = '{}' and active) loop
            perform pg_sleep(0.01);
        end loop;
    end $$
"""


@dataclass
class Replica:
    """A source, its streams, and the DuckDB file that follows them."""

    url: str
    warehouse: Path
    streams: tuple[Stream, ...]
    slot: str = field(default="")

    def __post_init__(self) -> None:
        self.slot = self.slot or psycopg.conninfo.conninfo_to_dict(self.url)["dbname"]

    def execute(self, *statements: str) -> None:
        """Each statement in a transaction of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def transaction(self, *statements: str) -> None:
        with psycopg.connect(self.url) as connection:
            for statement in statements:
                connection.execute(statement)

    def prepare(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("create publication {} for all tables").format(sql.Identifier(PUBLICATION)))
            connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (self.slot,))

    def await_free_slot(self) -> None:
        """Wait until the server has noticed that a session which broke is gone."""
        self.execute(_SLOT_IS_FREE.format(self.slot))

    def sync(self, destination: Destination | None = None, **options: Any) -> SyncReport:
        return sync(
            self.url,
            destination or DuckDBDestination(self.warehouse),
            self.streams,
            publication=PUBLICATION,
            slot=self.slot,
            **options,
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            return connection.execute(query).fetchall()

    def source(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query).fetchall()

    def assert_equal(self) -> None:
        """``raw`` is the source row for row, and the last version of every key in ``history`` is ``raw``."""
        with duckdb.connect(self.warehouse) as warehouse:  # while it is open, others here open it in no time
            verification = verify(
                self.url, DuckDBDestination(self.warehouse), self.streams, publication=PUBLICATION, slot=self.slot
            )
            assert verification.equal, verification
            for stream in self.streams:
                _assert_history_replays(warehouse, stream)

    def assert_follows(self, *, up_to_now: bool = True) -> None:
        """As ``assert_equal``, of what has been committed, while transactions are open; else of some moment before."""
        with duckdb.connect(self.warehouse, read_only=True) as warehouse, psycopg.connect(self.url) as source:
            for stream in self.streams:
                columns = _assert_history_replays(warehouse, stream)
                if up_to_now:
                    query = f"select {columns} from {{}}.{quoted(stream.name)}"
                    held = warehouse.execute(query.format("raw")).fetchall()
                    committed = source.execute(query.format("public")).fetchall()  # type: ignore[arg-type]
                    assert Counter(held) == Counter(committed), stream.name

    def versions(self, stream: str, columns: str) -> list[tuple[Any, ...]]:
        """What history holds, in the log's order; the last column tells deletes."""
        return self.rows(
            f"select {columns}, _ab_cdc_deleted_at is not null as deleted from history.{stream}"
            " order by _ab_cdc_lsn, deleted desc"
        )


def _assert_history_replays(warehouse: duckdb.DuckDBPyConnection, stream: Stream) -> str:
    """The versions of a row that came less those that went are the rows that are there; the source's columns."""
    name = quoted(stream.name)
    found = warehouse.execute(
        "select column_name from duckdb_columns() where schema_name = 'raw' and table_name = ? and not"
        " regexp_matches(column_name, '^_(airbyte|ab_cdc)_') order by column_index",
        [stream.name],
    ).fetchall()
    columns = ", ".join(quoted(column) for (column,) in found)
    key = ", ".join(quoted(part) for part in stream.primary_key)
    current = f"select {columns} from raw.{name}"
    if key:
        replayed = (
            f"select {columns} from (select * from history.{name} qualify row_number() over"
            f" (partition by {key} order by _ab_cdc_lsn desc) = 1) where _ab_cdc_deleted_at is null"
        )
    else:
        gone = "_ab_cdc_deleted_at is not null"
        replayed = (
            f"select {columns} from history.{name} where not {gone}"
            f" except all select {columns} from history.{name} where {gone}"
        )
    for surplus in (f"({replayed}) except all ({current})", f"({current}) except all ({replayed})"):
        assert warehouse.execute(surplus).fetchall() == [], stream.name
    return columns
