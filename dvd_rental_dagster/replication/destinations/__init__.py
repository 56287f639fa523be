"""Where rows go: one contract, one module a destination."""

from collections.abc import Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

from dvd_rental_dagster.replication.evolution import Evolution
from dvd_rental_dagster.replication.ledger import Ledger, Stamp, StreamState
from dvd_rental_dagster.replication.rows import Changes
from dvd_rental_dagster.replication.table import Table


@dataclass(frozen=True)
class Checksum:
    """A set of rows in two numbers."""

    rows: int
    checksum: int


class Destination(Protocol):
    """What the engine asks of a warehouse.

    Everything between ``begin`` and ``commit`` becomes visible at once, the ledger with it, or not at all: a process
    killed in between leaves what the last ``commit`` left. ``raw`` holds what the stream's mode says, ``history`` one
    row for every version of every row. Changes arrive in the order of the log and are applied in that order.
    """

    def __enter__(self) -> Self:
        """Open the warehouse for writing.

        Raises:
            WarehouseBusyError: another process writes.
        """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it; what was not committed is undone."""

    def read_ledger(self) -> Ledger | None:
        """The ledger as last committed; none before the first sync."""

    def recover(self, anew: Collection[str] = ()) -> None:
        """Finish what a process that was killed after its commit left, once the ledger is read; before any writing.

        ``anew`` are the streams that will be loaded again, of which nothing that is there is needed.
        """

    def begin(self, stamp: Stamp) -> None:
        """Open a transaction whose rows carry the stamp."""

    def load(
        self, table: Table, state: StreamState, before: StreamState | None, rows: pa.RecordBatchReader, floor_lsn: int
    ) -> int:
        """Replace the stream's rows in ``raw`` by a full load and return their number.

        ``before`` is the stream's state in the ledger until now, None of a stream that it does not know.
        The rows carry ``floor_lsn``, so that every later version of a row has a higher one. Whatever columns the stream
        had before, ``raw`` has the table's afterwards, and ``history`` has them too.

        A stream with history gets a version for each row that is new or differs and a delete for each that is gone.
        """

    def apply(self, table: Table, state: StreamState, changes: Changes) -> None:
        """Apply changes to ``raw`` and ``history``."""

    def truncate(self, table: Table, state: StreamState, lsn: int, committed_at: int) -> int:
        """Empty the stream in ``raw``, write a delete a row to ``history`` and return the number of rows."""

    def evolve(self, table: Table, state: StreamState, evolution: Evolution, lsn: int, committed_at: int) -> None:
        """Change the stream's columns to the table's, as the source changed them.

        Rows that got a value in an added column get a version, which carries ``lsn`` and ``committed_at``
        (microseconds since 1970).
        """

    def checksums(self, table: Table, rows: pa.RecordBatchReader) -> tuple[Checksum, Checksum]:
        """Number and order-independent checksum of the given rows of the source, and of the stream's rows."""

    def differing_keys(self, table: Table, rows: pa.RecordBatchReader, limit: int) -> tuple[tuple[Any, ...], ...]:
        """The first keys, in key order, whose row differs from the given rows of the source or is on one side only."""

    def commit(self, ledger: Ledger) -> None:
        """Make everything since ``begin`` visible, and the ledger with it."""
