"""PostgreSQL as the warehouse: schemas ``raw``, ``history`` and ``ledger`` of one database, one writer at a time."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg
import pyarrow as pa
from psycopg import Connection, errors, sql
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import WarehouseBusyError, WarehouseError, one_line
from dvd_rental_dagster.replication.destinations import Checksum
from dvd_rental_dagster.replication.destinations.postgres_changes import apply, truncate
from dvd_rental_dagster.replication.destinations.postgres_comparison import PostgresComparison
from dvd_rental_dagster.replication.destinations.postgres_evolution import evolve
from dvd_rental_dagster.replication.destinations.postgres_load import load
from dvd_rental_dagster.replication.destinations.postgres_tables import PostgresTables
from dvd_rental_dagster.replication.destinations.postgres_types import instant, refusing_unfit_values
from dvd_rental_dagster.replication.evolution import Evolution
from dvd_rental_dagster.replication.ledger import Ledger, Stamp, StreamState, ledger_of, stream_rows
from dvd_rental_dagster.replication.rows import Changes
from dvd_rental_dagster.replication.session import pinned
from dvd_rental_dagster.replication.table import Table

_SCHEMAS = ("raw", "history", "ledger")
_LEDGER_TABLES = """
create table if not exists ledger.position (
    system_identifier text not null,
    database_oid bigint not null,
    slot text not null,
    lsn bigint not null,
    sync_id bigint not null,
    extracted_at timestamptz not null,
    committed_at timestamptz not null
);
create table if not exists ledger.streams (
    stream text not null,
    generation_id bigint not null,
    mode text not null,
    snapshot_lsn bigint not null,
    table_oid bigint not null,
    columns jsonb not null
);
"""
_LOCK = 0x6476645F72656E74
"""Number of the advisory lock of whoever writes (PostgreSQL documentation, 13.3.5 "Advisory Locks"): "dvd_rent"."""

_REFUSALS = (
    psycopg.OperationalError,
    errors.InsufficientPrivilege,
    errors.DependentObjectsStillExist,
    errors.FeatureNotSupported,  # a view reads a column whose type is to change
)
_MICROSECONDS = "(extract(epoch from {}) * 1000000)::bigint"


class PostgresDestination:
    """``Destination`` in a PostgreSQL database, which may hold other schemas beside.

    ``url`` names it, as a role that may make schemas in it.
    """

    def __init__(self, url: str, *, wait_seconds: float = 30) -> None:
        self._url = url
        self._wait_seconds = wait_seconds
        self._stamp = Stamp(0, 0)

    def __enter__(self) -> Self:
        with self._naming_the_warehouse():
            # Whatever the role's default: what the slot is told must be on the warehouse's disk.
            self._connection: Connection[Any] = psycopg.connect(
                pinned(self._url, synchronous_commit="on"), autocommit=True
            )
        try:
            with self._naming_the_warehouse():
                self._lock()
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def read_ledger(self) -> Ledger | None:
        """See ``Destination.read_ledger``."""
        with self._naming_the_warehouse():
            [(known,)] = self._connection.execute("select to_regclass('ledger.position') is not null").fetchall()
            rows = (
                known
                and self._connection.execute(
                    sql.SQL(
                        "select system_identifier, database_oid, slot, lsn, sync_id, {}, {} from ledger.position"
                    ).format(
                        sql.SQL(_MICROSECONDS).format(sql.Identifier("extracted_at")),
                        sql.SQL(_MICROSECONDS).format(sql.Identifier("committed_at")),
                    )
                ).fetchall()
            )
            if not rows:
                return None
            streams = self._connection.execute(
                "select stream, generation_id, mode, snapshot_lsn, table_oid, columns::text from ledger.streams"
            ).fetchall()
        return ledger_of(rows[0], streams)

    def recover(self, anew: Collection[str] = ()) -> None:
        """See ``Destination.recover``; a commit leaves nothing to do."""

    def begin(self, stamp: Stamp) -> None:
        """See ``Destination.begin``."""
        self._stamp = stamp
        with self._naming_the_warehouse():
            self._connection.execute("begin isolation level read committed read write")
            missing = self._connection.execute(
                "select name from unnest(%s::text[]) as name where to_regnamespace(name) is null", (list(_SCHEMAS),)
            ).fetchall()
            for (schema,) in missing:
                self._connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
            self._connection.execute(_LEDGER_TABLES)

    def commit(self, ledger: Ledger) -> None:
        """See ``Destination.commit``."""
        with self._naming_the_warehouse(), self._connection.cursor() as cursor:
            cursor.execute("delete from ledger.position")
            cursor.execute(
                sql.SQL("insert into ledger.position values ({})").format(
                    sql.SQL(", ").join(
                        (
                            *(
                                sql.Literal(value)
                                for value in (
                                    ledger.identity.server, ledger.identity.database_oid, ledger.slot,
                                    ledger.lsn, ledger.sync_id,
                                )
                            ),
                            instant(sql.Literal(ledger.extracted_at)),
                            instant(sql.Literal(ledger.committed_at)),
                        )
                    )
                )
            )  # fmt: skip
            cursor.execute("delete from ledger.streams")
            cursor.executemany(
                "insert into ledger.streams values (%s, %s, %s, %s, %s, %s)", stream_rows(ledger.streams)
            )
            cursor.execute("commit")

    def load(
        self, table: Table, state: StreamState, before: StreamState | None, rows: pa.RecordBatchReader, floor_lsn: int
    ) -> int:
        """See ``Destination.load``."""
        with self._writing(table.stream):
            return load(self._tables(table, state), before, rows, floor_lsn)

    def apply(self, table: Table, state: StreamState, changes: Changes) -> None:
        """See ``Destination.apply``."""
        with self._writing(table.stream):
            apply(self._tables(table, state), changes)

    def truncate(self, table: Table, state: StreamState, lsn: int, committed_at: int) -> int:
        """See ``Destination.truncate``."""
        with self._writing(table.stream):
            return truncate(self._tables(table, state), lsn, committed_at)

    def evolve(self, table: Table, state: StreamState, evolution: Evolution, lsn: int, committed_at: int) -> None:
        """See ``Destination.evolve``."""
        with self._writing(table.stream):
            evolve(self._tables(table, state), evolution, lsn, committed_at)

    def checksums(self, table: Table, rows: pa.RecordBatchReader) -> tuple[Checksum, Checksum]:
        """See ``Destination.checksums``."""
        with self._writing(table.stream):
            return PostgresComparison(self._connection, table).checksums(rows)

    def differing_keys(self, table: Table, rows: pa.RecordBatchReader, limit: int) -> tuple[tuple[Any, ...], ...]:
        """See ``Destination.differing_keys``."""
        with self._writing(table.stream):
            return PostgresComparison(self._connection, table).differing_keys(rows, limit)

    def _tables(self, table: Table, state: StreamState) -> PostgresTables:
        return PostgresTables(self._connection, self._stamp, table, state)

    def _lock(self) -> None:
        """Wait for the writers before this one; the lock goes with the session, however it ends.

        Whoever reads and holds a table that is to change is waited for as long.
        """
        milliseconds = sql.Literal(max(1, int(self._wait_seconds * 1000)))
        self._connection.execute(sql.SQL("set lock_timeout = {}").format(milliseconds))
        try:
            self._connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        except errors.LockNotAvailable as error:
            raise WarehouseBusyError(
                f"Another process holds the warehouse {self._place}. Wait for it to finish, or stop it."
            ) from error

    @contextmanager
    def _writing(self, stream: Stream) -> Iterator[None]:
        with self._naming_the_warehouse(), refusing_unfit_values(stream):
            yield

    @contextmanager
    def _naming_the_warehouse(self) -> Iterator[None]:
        """Name the warehouse, and never its password, when it cannot be reached or does not let us.

        Raises:
            WarehouseError: so it is.
        """
        try:
            yield
        except _REFUSALS as error:
            said = filter(None, (error.diag.message_primary, error.diag.message_detail))
            reason = one_line(": ".join(said) or error)
            raise WarehouseError(
                f"The warehouse {self._place} cannot be written: {reason}. What was there before stays. Mend that, or "
                "correct DVD_RENTAL_WAREHOUSE_URL; then run it again."
            ) from error

    @property
    def _place(self) -> str:
        """Where it is, as an error names it."""
        parameters = conninfo_to_dict(self._url)
        return f"{parameters.get('host', 'localhost')}:{parameters.get('port', 5432)}/{parameters.get('dbname', '')}"
