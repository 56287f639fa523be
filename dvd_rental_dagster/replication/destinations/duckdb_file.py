"""DuckDB, the embedded warehouse: one file, one writing process."""

import fcntl
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from dvd_rental_dagster.disk import naming_a_full_disk
from dvd_rental_dagster.errors import WarehouseBusyError, WarehouseError
from dvd_rental_dagster.replication.destinations import Checksum
from dvd_rental_dagster.replication.destinations.duckdb_changes import apply, truncate
from dvd_rental_dagster.replication.destinations.duckdb_comparison import DuckDBComparison
from dvd_rental_dagster.replication.destinations.duckdb_evolution import evolve
from dvd_rental_dagster.replication.destinations.duckdb_load import load
from dvd_rental_dagster.replication.destinations.duckdb_tables import StreamTables
from dvd_rental_dagster.replication.destinations.duckdb_types import refusing_unfit_values
from dvd_rental_dagster.replication.evolution import Evolution
from dvd_rental_dagster.replication.ledger import Ledger, Stamp, StreamState, ledger_of, stream_rows
from dvd_rental_dagster.replication.rows import Changes
from dvd_rental_dagster.replication.table import Table

_LEDGER_TABLES = """
create schema if not exists raw;
create schema if not exists history;
create schema if not exists ledger;
create table if not exists ledger.position (
    system_identifier varchar not null,
    database_oid bigint not null,
    slot varchar not null,
    lsn bigint not null,
    sync_id bigint not null,
    extracted_at timestamptz not null,
    committed_at timestamptz not null
);
create table if not exists ledger.streams (
    stream varchar not null,
    generation_id bigint not null,
    mode varchar not null,
    snapshot_lsn bigint not null,
    table_oid bigint not null,
    columns json not null
);
"""

CACHED_BYTES = 32 << 20
"""Bytes of the tables' blocks that may stay in memory while changes are applied."""

# By default a transaction's new rows go to disk only after five row groups (614,400 rows) of a table: 100 MB and more.
_SETTINGS = """
set timezone = 'UTC';
set preserve_insertion_order = false;
set write_buffer_row_group_memory_limit = '16MB'
"""
_APPLIES_A_LOOK = 4
_HEADER_BYTES = 3 * 4096  # DuckDB's documentation, "Storage Versions and Format"
_MAGIC = slice(8, 12)
_HELD = "Could not set lock on file"


@contextmanager
def open_for_writing(path: Path, *, wait_seconds: float = 30) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse's file, waiting for another process to let go of it.

    Raises:
        WarehouseBusyError: another process still holds it after ``wait_seconds``.
        WarehouseError: the file is damaged, unreadable or not DuckDB's; or the disk is full, then or while it is open.
    """
    with naming_a_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _opened(path, time.monotonic() + wait_seconds)
        try:
            connection.execute(_SETTINGS)
            yield connection
        finally:
            connection.close()


def _opened(path: Path, deadline: float) -> duckdb.DuckDBPyConnection:
    while True:
        try:
            with naming_a_full_disk(path):
                return duckdb.connect(path)
        except duckdb.Error as error:
            if _removed_stillborn(path):
                continue
            if _HELD not in str(error):
                raise WarehouseError(
                    f"The warehouse {path} cannot be opened: {error}. If the file is damaged, remove it with "
                    "dvd-rental reset --warehouse and load it again with dvd-rental run."
                ) from error
            if time.monotonic() > deadline:
                raise WarehouseBusyError(
                    f"Another process holds the warehouse {path}: {error}. Wait for it to finish, or stop it."
                ) from error
        time.sleep(0.1)


def _removed_stillborn(path: Path) -> bool:
    """Whether the file was made by a process that died, or had no room, before it wrote the headers; it is gone then.

    Every other opening of it fails. Whoever makes a file holds its lock, so no file is removed from under its maker.
    """
    if not path.is_file() or path.stat().st_size >= _HEADER_BYTES or not os.access(path, os.R_OK | os.W_OK):
        return False
    with path.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        is_ours = file.read(_MAGIC.stop)[_MAGIC] in {b"", b"DUCK"}
        if is_ours:
            path.unlink()
    return is_ours


class DuckDBDestination:
    """``Destination`` on a DuckDB file."""

    def __init__(self, path: Path, *, wait_seconds: float = 30) -> None:
        self._path = path
        self._wait_seconds = wait_seconds
        self._stamp = Stamp(0, 0)
        self._written: dict[str, StreamState] | None = None
        self._applies = 0

    def __enter__(self) -> Self:
        self._written = None
        self._opened = open_for_writing(self._path, wait_seconds=self._wait_seconds)
        self._connection = self._opened.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, traceback)

    def read_ledger(self) -> Ledger | None:
        """See ``Destination.read_ledger``."""
        known = self._all("select 1 from duckdb_tables() where schema_name = 'ledger' and table_name = 'position'")
        rows = known and self._all(
            """
            select
                system_identifier, database_oid, slot, lsn, sync_id,
                epoch_us(extracted_at), epoch_us(committed_at)
            from ledger.position
            """
        )
        if not rows:
            return None
        streams = self._all("select stream, generation_id, mode, snapshot_lsn, table_oid, columns from ledger.streams")
        return ledger_of(rows[0], streams)

    def recover(self, anew: Collection[str] = ()) -> None:
        """See ``Destination.recover``; a commit leaves nothing to do."""

    def begin(self, stamp: Stamp) -> None:
        """See ``Destination.begin``."""
        self._stamp = stamp
        self._connection.execute("begin transaction")
        self._connection.execute(_LEDGER_TABLES)

    def commit(self, ledger: Ledger) -> None:
        """See ``Destination.commit``."""
        self._connection.execute("delete from ledger.position")
        self._connection.execute(
            "insert into ledger.position values (?, ?, ?, ?, ?, make_timestamptz(?), make_timestamptz(?))",
            [
                ledger.identity.server, ledger.identity.database_oid, ledger.slot, ledger.lsn,
                ledger.sync_id, ledger.extracted_at, ledger.committed_at,
            ],
        )  # fmt: skip
        if ledger.streams != self._written:  # they rarely change, and each row is a statement
            self._connection.execute("delete from ledger.streams")
            self._connection.executemany(
                "insert into ledger.streams values (?, ?, ?, ?, ?, ?)", stream_rows(ledger.streams)
            )
        self._connection.execute("commit")
        self._written = dict(ledger.streams)

    def load(
        self, table: Table, state: StreamState, before: StreamState | None, rows: pa.RecordBatchReader, floor_lsn: int
    ) -> int:
        """See ``Destination.load``."""
        with refusing_unfit_values(table.stream):
            return load(self._tables(table, state), before, rows, floor_lsn)

    def apply(self, table: Table, state: StreamState, changes: Changes) -> None:
        """See ``Destination.apply``."""
        with refusing_unfit_values(table.stream):
            apply(self._tables(table, state), changes)
        self._applies += 1
        if self._applies % _APPLIES_A_LOOK == 0:
            self._drop_cached_blocks()

    def truncate(self, table: Table, state: StreamState, lsn: int, committed_at: int) -> int:
        """See ``Destination.truncate``."""
        return truncate(self._tables(table, state), lsn, committed_at)

    def evolve(self, table: Table, state: StreamState, evolution: Evolution, lsn: int, committed_at: int) -> None:
        """See ``Destination.evolve``."""
        with refusing_unfit_values(table.stream):
            evolve(self._tables(table, state), evolution, lsn, committed_at)

    def checksums(self, table: Table, rows: pa.RecordBatchReader) -> tuple[Checksum, Checksum]:
        """See ``Destination.checksums``."""
        with refusing_unfit_values(table.stream):
            return DuckDBComparison(self._connection, table).checksums(rows)

    def differing_keys(self, table: Table, rows: pa.RecordBatchReader, limit: int) -> tuple[tuple[Any, ...], ...]:
        """See ``Destination.differing_keys``."""
        with refusing_unfit_values(table.stream):
            return DuckDBComparison(self._connection, table).differing_keys(rows, limit)

    def _drop_cached_blocks(self) -> None:
        """Let go of the tables' blocks in memory, of which DuckDB keeps all that it wrote, up to most of the machine's.

        Lowering the limit drops what the disk has too. A session of its own does it, for an error would end the
        transaction of ours.
        """
        with self._connection.cursor() as session:
            memory = session.execute("select tag, memory_usage_bytes from duckdb_memory()").fetchall()
            used = sum(size for _, size in memory)
            cached = dict(memory)["BASE_TABLE"]
            if cached <= CACHED_BYTES:
                return
            try:
                with suppress(duckdb.OutOfMemoryException):  # some are in use
                    session.execute(f"set memory_limit = '{used - cached + CACHED_BYTES // 4}B'")
            finally:
                session.execute("reset memory_limit")

    def _tables(self, table: Table, state: StreamState) -> StreamTables:
        return StreamTables(self._connection, self._stamp, table, state)

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()
