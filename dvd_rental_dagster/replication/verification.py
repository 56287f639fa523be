"""Source and warehouse compared at one place of the log: count and checksum a stream, then the keys that differ."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pyarrow as pa

from dvd_rental_dagster.catalog import Stream, SyncMode
from dvd_rental_dagster.errors import LedgerError, WarehouseBusyError
from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.replication.column import TypeCatalog
from dvd_rental_dagster.replication.destinations import Checksum, Destination
from dvd_rental_dagster.replication.report import SyncReport
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.replication.slot import exported_snapshot
from dvd_rental_dagster.replication.snapshot import SnapshotReader, snapshot_reader
from dvd_rental_dagster.replication.sync import sync
from dvd_rental_dagster.replication.table import Table, read_table

_KEYS_SHOWN = 5


class Side(Protocol):
    """What holds rows to compare with the source's; every destination does, opened."""

    def checksums(self, table: Table, rows: pa.RecordBatchReader) -> tuple[Checksum, Checksum]:
        """See ``Destination.checksums``."""

    def differing_keys(self, table: Table, rows: pa.RecordBatchReader, limit: int) -> tuple[tuple[Any, ...], ...]:
        """See ``Destination.differing_keys``."""


@dataclass(frozen=True)
class Comparison:
    """One stream on both sides: numbers of rows, and the first keys whose rows differ or stand on one side only."""

    stream: str
    source_rows: int
    warehouse_rows: int
    differing_keys: tuple[tuple[Any, ...], ...] = ()

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same rows."""
        return self.source_rows == self.warehouse_rows and not self.differing_keys

    @property
    def key_texts(self) -> tuple[str, ...]:
        """The differing keys as people read them; the parts of one are separated by commas."""
        return tuple(", ".join(str(part) for part in key) for key in self.differing_keys)


@dataclass(frozen=True)
class Verification:
    """Streams compared at ``lsn``.

    ``obstacles`` tells of streams that could not be compared why, ``report`` what the warehouse took to get to ``lsn``.
    """

    lsn: int
    comparisons: tuple[Comparison, ...]
    obstacles: dict[str, str]
    report: SyncReport

    @property
    def equal(self) -> bool:
        """Whether every stream was compared and is the same on both sides."""
        return not self.obstacles and all(comparison.equal for comparison in self.comparisons)


def verify(
    source_url: str,
    destination: Destination,
    streams: Sequence[Stream],
    *,
    publication: str,
    slot: str,
    only: Collection[str] | None = None,
    progress: Progress = silent,
) -> Verification:
    """Bring the destination to exactly one snapshot of the source, and compare the two.

    Only the streams of these names are compared, all when ``only`` is none. Those in mode ``incremental_append`` hold
    versions, not rows, and are left out. A table whose columns changed with no change of a row since has an obstacle.

    Raises:
        LedgerError: nothing was loaded yet.
        WarehouseBusyError: another process writes to the warehouse, or wrote to it meanwhile.
        SnapshotError: no snapshot can be taken now.
        ReplicationError: the log cannot be read up to the snapshot.
        SourceUnreachableError: the source cannot be reached.
    """
    compared = [
        stream
        for stream in streams
        if stream.mode is SyncMode.INCREMENTAL_DEDUPED_HISTORY and (only is None or stream.name in only)
    ]
    with connect(source_url) as source, exported_snapshot(source_url, source, slot) as snapshot:
        with destination:
            ledger = destination.read_ledger()
        if ledger is None or not all(stream.name in ledger.streams for stream in compared):
            raise LedgerError("The warehouse does not hold every stream yet. Load it first: dvd-rental sync.")
        report = sync(
            source_url,
            destination,
            streams,
            publication=publication,
            slot=slot,
            until_lsn=snapshot.lsn,
            progress=progress,
        )
        with destination, snapshot_reader(source_url, source, snapshot.name) as reader:
            ledger = destination.read_ledger() or ledger
            if ledger.lsn != snapshot.lsn:
                raise WarehouseBusyError(
                    "Another sync took the warehouse further than the snapshot that it was to be compared with. Let it "
                    "end, then verify again."
                )
            types = TypeCatalog(source)
            comparisons, obstacles = [], {}
            for number, stream in enumerate(compared):
                progress(f"Comparing {stream.name}", number, len(compared))
                table = read_table(source, types, stream, publication)
                if table.columns != ledger.streams[stream.name].columns:
                    obstacles[stream.name] = (
                        f"The columns of {stream.source_name} changed, and the log tells so with the next change of a "
                        f"row. Verify again after that, or load the stream again: dvd-rental resync {stream.name}."
                    )
                else:
                    comparisons.append(compare(destination, reader, table))
    return Verification(snapshot.lsn, tuple(comparisons), obstacles, report)


def compare(side: Side, reader: SnapshotReader, table: Table) -> Comparison:
    """Compare one stream with the table as the reader's snapshot shows it."""
    with reader.rows(table) as rows:
        source, warehouse = side.checksums(table, rows)
    comparison = Comparison(table.stream.name, source.rows, warehouse.rows)
    if source == warehouse:
        return comparison
    with reader.rows(table) as rows:
        return replace(comparison, differing_keys=side.differing_keys(table, rows, _KEYS_SHOWN))
