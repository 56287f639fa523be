"""One sync: from the ledger's place in the log to the source's flushed end at its start, then stop.

Streams that the warehouse does not hold yet are loaded first, all from one snapshot that joins the log without a seam.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from psycopg import Connection

from dvd_rental_dagster.catalog import Stream, SyncMode
from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.replication.applier import Applier, Worker
from dvd_rental_dagster.replication.column import TypeCatalog
from dvd_rental_dagster.replication.destinations import Destination
from dvd_rental_dagster.replication.failpoint import FailPoint, reach
from dvd_rental_dagster.replication.ledger import Ledger, SourceIdentity, Stamp, StreamState
from dvd_rental_dagster.replication.log_reader import LogReader
from dvd_rental_dagster.replication.publication import check_marks, check_publication, read_marks
from dvd_rental_dagster.replication.report import StreamReport, SyncReport
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.replication.slot import (
    check_place,
    check_slot,
    exported_snapshot,
    flushed_lsn,
    read_identity,
    read_slot,
)
from dvd_rental_dagster.replication.snapshot import snapshot_reader
from dvd_rental_dagster.replication.spellings import check_spellings, read_spellings
from dvd_rental_dagster.replication.stream import open_stream
from dvd_rental_dagster.replication.table import Table, made_again, read_table, table_oids


def sync(
    source_url: str,
    destination: Destination,
    streams: Sequence[Stream],
    *,
    publication: str,
    slot: str,
    resync: Collection[str] = (),
    until_lsn: int | None = None,
    progress: Progress = silent,
) -> SyncReport:
    """Bring the destination to where the source's log ended when the sync began.

    Args:
        source_url: the source as a role that may replicate and select.
        destination: where rows go; opened and closed here.
        streams: what to replicate.
        publication: name of the publication that holds the streams' tables.
        slot: name of the logical slot, which must exist.
        resync: names of streams to load again from a snapshot; naming all of them also accepts another source or slot.
        until_lsn: where to stop instead, exactly: what committed there or later is left for the next sync.
        progress: hears how far the work is.

    Raises:
        SourceUnreachableError: no connection, or it broke; a sync run again goes on where this one stopped.
        SlotError: the slot cannot serve, or does not continue the ledger.
        PublicationError: the publication is missing or lacks a table.
        StreamTableError: a table is missing or changed in a way that needs a decision.
        WarehouseBusyError: another process writes to the warehouse.
    """
    started = time.perf_counter()
    with connect(source_url) as source, destination:
        run = _Sync(source_url, source, destination, streams, publication, slot, progress, until_lsn)
        report = run.execute(frozenset(resync))
        reach(FailPoint.AT_SHUTDOWN)
    report.seconds = time.perf_counter() - started
    return report


class _Standing(NamedTuple):
    """What tells a table's past from its present beside the log; the fields are those of ``StreamState``."""

    published: str
    spelling: Mapping[str, str]


@dataclass(frozen=True)
class _Sync:
    source_url: str
    source: Connection[Any]
    destination: Destination
    streams: Sequence[Stream]
    publication: str
    slot: str
    progress: Progress
    until_lsn: int | None = None

    def execute(self, resync: frozenset[str]) -> SyncReport:
        ledger = self.destination.read_ledger()
        identity = read_identity(self.source_url, self.source)
        log_end = flushed_lsn(self.source)
        anew = ledger is None or all(stream.name in resync for stream in self.streams)
        check_slot(self.source, self.slot, identity, log_end, None if anew else ledger)
        tables = {stream.source_table for stream in self.streams}
        check_publication(self.source, self.publication, tables)
        marks, spellings = read_marks(self.source, self.publication, tables), read_spellings(self.source, tables)
        standings = {table: _Standing(mark, spellings[table]) for table, mark in marks.items()}
        last_extracted_at = ledger.extracted_at if ledger else 0
        stamp = Stamp(
            sync_id=(ledger.sync_id if ledger else 0) + 1,
            extracted_at=max(int(time.time() * 1_000_000), last_extracted_at + 1),
        )
        report = SyncReport(stamp.sync_id, ledger.lsn if ledger else 0, ledger.lsn if ledger else 0)
        report.streams = {stream.name: StreamReport(stream.name) for stream in self.streams}
        ledger = ledger and self._forget_others(ledger)
        due = [stream for stream in self.streams if self._is_due(stream, ledger, resync)]
        if ledger:
            self._check_tables(ledger, due)
            ledger = replace(self._marked(ledger, due, standings), identity=identity)
        self.destination.recover([stream.name for stream in due])
        if due:
            ledger = self._load(due, None if anew else ledger, ledger, identity, standings, stamp, report)
            log_end = flushed_lsn(self.source)  # what was written meanwhile comes along
        assert ledger is not None  # noqa: S101  # without one every stream was due
        self._follow(ledger, log_end if self.until_lsn is None else self.until_lsn, stamp, report)
        return report

    def _forget_others(self, ledger: Ledger) -> Ledger:
        """The ledger of these streams; one that is left out misses what happens now, and is loaded anew later."""
        names = {stream.name for stream in self.streams}
        return replace(ledger, streams={name: state for name, state in ledger.streams.items() if name in names})

    def _check_tables(self, ledger: Ledger, due: Sequence[Stream]) -> None:
        """Refuse tables that are no longer those that were loaded."""
        oids = table_oids(self.source, {stream.source_table for stream in self.streams})
        going_on = [stream for stream in self.streams if stream not in due]
        others = [
            stream for stream in going_on if oids.get(stream.source_table) != ledger.streams[stream.name].table_oid
        ]
        if others:
            raise made_again(others)

    def _marked(self, ledger: Ledger, due: Sequence[Stream], standings: Mapping[tuple[str, str], _Standing]) -> Ledger:
        """The ledger, with the marks and spellings of those streams that go on."""
        going_on = {stream.name: standings[stream.source_table] for stream in self.streams if stream not in due}
        check_marks(self.publication, ledger, {name: standing.published for name, standing in going_on.items()})
        check_spellings(ledger, {name: standing.spelling for name, standing in going_on.items()})
        marked = {name: replace(ledger.streams[name], **standing._asdict()) for name, standing in going_on.items()}
        return replace(ledger, streams={**ledger.streams, **marked})

    @staticmethod
    def _is_due(stream: Stream, ledger: Ledger | None, resync: frozenset[str]) -> bool:
        """Whether the stream needs a full load."""
        if ledger is None or stream.name in resync or stream.mode is SyncMode.FULL_REFRESH_OVERWRITE:
            return True
        state = ledger.streams.get(stream.name)
        return state is None or state.mode is not stream.mode

    def _load(
        self,
        due: Sequence[Stream],
        continued: Ledger | None,
        known: Ledger | None,
        identity: SourceIdentity,
        standings: Mapping[tuple[str, str], _Standing],
        stamp: Stamp,
        report: SyncReport,
    ) -> Ledger:
        """Load the streams from one snapshot, in one transaction of the warehouse."""
        states = dict(known.streams) if known else {}
        with exported_snapshot(self.source_url, self.source, self.slot) as snapshot:
            types = TypeCatalog(self.source)
            self.destination.begin(stamp)
            with snapshot_reader(self.source_url, self.source, snapshot.name) as reader:
                for number, stream in enumerate(due):
                    self.progress("Loading " + stream.name, number, len(due))
                    started = time.perf_counter()
                    table = read_table(self.source, types, stream, self.publication)
                    before = states.get(stream.name)
                    generation = before.generation + 1 if before else 0
                    standing = standings[stream.source_table]
                    state = StreamState(generation, stream.mode, snapshot.lsn, table.oid, table.columns, *standing)
                    with reader.rows(table) as rows:
                        loaded = self.destination.load(table, state, before, rows, snapshot.floor_lsn)
                    states[stream.name] = state
                    stream_report = report.streams[stream.name]
                    stream_report.snapshot = loaded
                    stream_report.lsn = snapshot.lsn
                    stream_report.seconds = time.perf_counter() - started
                    reach(FailPoint.IN_SNAPSHOT)
            ledger = Ledger(
                identity,
                self.slot,
                continued.lsn if continued else snapshot.lsn,
                stamp.sync_id,
                stamp.extracted_at,
                known.committed_at if known else stamp.extracted_at,
                states,
            )
            self.destination.commit(ledger)
        self.progress("Loading", len(due), len(due))
        report.end_lsn = ledger.lsn
        return ledger

    def _follow(self, ledger: Ledger, target: int, stamp: Stamp, report: SyncReport) -> None:
        """Apply the log from the ledger's place to the target."""
        if target <= ledger.lsn:
            return
        tables = {
            ledger.streams[stream.name].table_oid: Table(
                stream, ledger.streams[stream.name].columns, stream.primary_key
            )
            for stream in self.streams
        }
        with open_stream(self.source_url, self.slot, self.publication, ledger.lsn) as stream:
            held = read_slot(self.source, self.slot)  # ours alone from here on; until now another could have read it
            assert held is not None  # noqa: S101  # it is being read
            check_place(held, ledger)
            worker = Worker(stream.keep_alive)
            applier = Applier(self.destination, ledger, stamp, tables, report, self.source)
            try:
                reader = LogReader(stream, worker, applier, self.progress)
                report.transactions = reader.read(ledger.lsn, target, exactly=self.until_lsn is not None)
            finally:
                worker.close()
            report.end_lsn = applier.ledger.lsn
            stream.finish()
