"""A source database and its replica, and what must hold between them after every sync."""

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
from dvd_rental_dagster.replication.verification import verify

PUBLICATION = "everything"


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
        verification = verify(
            self.url, DuckDBDestination(self.warehouse), self.streams, publication=PUBLICATION, slot=self.slot
        )
        assert verification.equal, verification
        for stream in self.streams:
            key = ", ".join(f'"{part}"' for part in stream.primary_key)
            columns = ", ".join(
                f'"{name}"' for (name,) in self.rows(
                    "select column_name from duckdb_columns() where schema_name = 'raw'"
                    f" and table_name = '{stream.name}' and column_name not like '\\_a%' escape '\\'"
                    " order by column_index"
                )
            )  # fmt: skip
            replayed = (
                f'select {columns} from (select * from history."{stream.name}" qualify row_number() over'
                f" (partition by {key} order by _ab_cdc_lsn desc) = 1) where _ab_cdc_deleted_at is null"
            )
            current = f'select {columns} from raw."{stream.name}"'
            assert self.rows(f"({replayed}) except all ({current})") == []
            assert self.rows(f"({current}) except all ({replayed})") == []

    def versions(self, stream: str, columns: str) -> list[tuple[Any, ...]]:
        """What history holds, in the log's order; the last column tells deletes."""
        return self.rows(
            f"select {columns}, _ab_cdc_deleted_at is not null as deleted from history.{stream}"
            " order by _ab_cdc_lsn, deleted desc"
        )
