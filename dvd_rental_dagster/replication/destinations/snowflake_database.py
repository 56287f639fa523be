"""Snowflake as the warehouse: schemas ``raw``, ``history`` and ``ledger`` of one database."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication.destinations import Checksum
from dvd_rental_dagster.replication.destinations.snowflake_changes import apply, truncate
from dvd_rental_dagster.replication.destinations.snowflake_comparison import SnowflakeComparison
from dvd_rental_dagster.replication.destinations.snowflake_evolution import evolve
from dvd_rental_dagster.replication.destinations.snowflake_ledger import SnowflakeLedger, forget_replacements
from dvd_rental_dagster.replication.destinations.snowflake_load import load
from dvd_rental_dagster.replication.destinations.snowflake_session import (
    COMMITTED,
    REFUSED,
    Connect,
    SnowflakeSession,
    naming,
)
from dvd_rental_dagster.replication.destinations.snowflake_stage import Stage
from dvd_rental_dagster.replication.destinations.snowflake_tables import SnowflakeTables
from dvd_rental_dagster.replication.evolution import Evolution
from dvd_rental_dagster.replication.ledger import Ledger, Stamp, StreamState
from dvd_rental_dagster.replication.rows import Changes
from dvd_rental_dagster.replication.table import Table


class SnowflakeDestination:
    """``Destination`` in a database of Snowflake, which may hold other schemas beside.

    ``connect`` opens a session in it, with the parameters of ``snowflake_session.PARAMETERS``, as a role that may make
    tables and stages in its schemas; ``place`` names it in errors. Another writer is noticed by whoever commits last.
    """

    def __init__(self, connect: Connect, place: str) -> None:
        self._connect = connect
        self._place = place
        self._stamp = Stamp(0, 0)
        self._places: dict[tuple[str, str], str] = {}

    def __enter__(self) -> Self:
        self._session = SnowflakeSession(self._connect(), self._place)
        self._ledger = SnowflakeLedger(self._session)
        self._stage = Stage(self._session)
        try:
            with self._naming():
                self._ledger.open()
        except BaseException:
            self._session.connection.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # What was not committed, temporary tables and the stage go with the session; files need not wait for that.
        self._places.clear()
        with self._naming():
            try:
                if error is None:
                    self._stage.drop()
            finally:
                self._session.connection.close()

    def read_ledger(self) -> Ledger | None:
        """See ``Destination.read_ledger``."""
        with self._naming():
            return self._ledger.read()

    def recover(self, anew: Collection[str] = ()) -> None:
        """See ``Destination.recover``."""
        with self._naming():
            self._ledger.put_replacements(anew)

    def begin(self, stamp: Stamp) -> None:
        """See ``Destination.begin``."""
        self._stamp = stamp
        with self._naming():
            self._ledger.prepare()

    def commit(self, ledger: Ledger) -> None:
        """See ``Destination.commit``."""
        session = self._session
        with self._naming(), session.transaction():
            self._ledger.claim()
            session.run_waiting()
            leftovers = self._ledger.leftovers()
            self._ledger.write(ledger)
        with self._naming(outcome=COMMITTED):
            self._ledger.committed()
            if self._places:
                self._ledger.put_replacements()
                self._places.clear()
            for schema, table in leftovers:
                session.drop(schema, table)
            session.forget()

    def load(
        self, table: Table, state: StreamState, before: StreamState | None, rows: pa.RecordBatchReader, floor_lsn: int
    ) -> int:
        """See ``Destination.load``."""
        with self._naming(table.stream):
            tables = self._tables(table, state)
            if tables.name in self._ledger.lost:
                # ``raw`` or ``history`` alone may be behind: the versions are compared, not what is current.
                before = None
                tables.later(forget_replacements(tables.name))
            return load(tables, before, rows, floor_lsn)

    def apply(self, table: Table, state: StreamState, changes: Changes) -> None:
        """See ``Destination.apply``."""
        with self._naming(table.stream):
            apply(self._tables(table, state), changes)

    def truncate(self, table: Table, state: StreamState, lsn: int, committed_at: int) -> int:
        """See ``Destination.truncate``."""
        with self._naming(table.stream):
            return truncate(self._tables(table, state), lsn, committed_at)

    def evolve(self, table: Table, state: StreamState, evolution: Evolution, lsn: int, committed_at: int) -> None:
        """See ``Destination.evolve``."""
        with self._naming(table.stream):
            evolve(self._tables(table, state), evolution, lsn, committed_at)

    def checksums(self, table: Table, rows: pa.RecordBatchReader) -> tuple[Checksum, Checksum]:
        """See ``Destination.checksums``."""
        with self._naming(table.stream):
            return SnowflakeComparison(self._session, self._stage, table).checksums(rows)

    def differing_keys(self, table: Table, rows: pa.RecordBatchReader, limit: int) -> tuple[tuple[Any, ...], ...]:
        """See ``Destination.differing_keys``."""
        with self._naming(table.stream):
            return SnowflakeComparison(self._session, self._stage, table).differing_keys(rows, limit)

    def _tables(self, table: Table, state: StreamState) -> SnowflakeTables:
        return SnowflakeTables(self._session, self._stage, self._places, self._stamp, table, state)

    @contextmanager
    def _naming(self, stream: Stream | None = None, outcome: str = REFUSED) -> Iterator[None]:
        with naming(self._place, stream, outcome):
            yield
