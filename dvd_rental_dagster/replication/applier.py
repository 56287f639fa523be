"""Decoded log to destination, on a thread of its own, so that reading the wire and writing the warehouse overlap.

The reader hands over work in the log's order; a single worker keeps it.
"""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

import numpy as np

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.replication.array import arrays_to_json
from dvd_rental_dagster.replication.column import Kind, TypeCatalog
from dvd_rental_dagster.replication.destinations import Destination
from dvd_rental_dagster.replication.ledger import Ledger, Stamp
from dvd_rental_dagster.replication.pgoutput import Relation, Truncate
from dvd_rental_dagster.replication.report import SyncReport
from dvd_rental_dagster.replication.rows import Batch, Operation, Transactions
from dvd_rental_dagster.replication.table import Table, check_names

_LOG_MODES = frozenset({SyncMode.INCREMENTAL_DEDUPED_HISTORY, SyncMode.INCREMENTAL_APPEND})


@dataclass
class Applier:
    """Applies batches, truncates and relations to a destination and commits them with the ledger.

    ``tables`` holds the streams' tables by namespace and name; ``read_types`` reads the source's types anew.
    """

    destination: Destination
    ledger: Ledger
    stamp: Stamp
    tables: dict[tuple[str, str], Table]
    report: SyncReport
    read_types: Callable[[], TypeCatalog]
    _types: TypeCatalog | None = None
    _relations: dict[int, Relation] = field(default_factory=dict)
    _open: bool = False

    def apply_batch(self, buffer: bytearray, starts: list[int], transactions: Transactions) -> None:
        """Decode the row messages and apply them, table by table."""
        batch = Batch(buffer, starts, transactions)
        for oid, indices in batch.by_relation():
            relation = self._relations[oid]
            table = self._table(relation)
            if table is None:
                continue
            state = self.ledger.streams[table.stream.name]
            selected = batch.committed_since(indices, state.snapshot_lsn)
            if not len(selected):
                continue
            started = time.perf_counter()
            changes = batch.changes(selected, relation, table.key)
            for column in table.columns:
                if column.kind is Kind.ARRAY:
                    changes.columns[column.name] = arrays_to_json(changes.columns[column.name], column.element)
            self._begin()
            self.destination.apply(table, state, changes)
            stream = self.report.streams[table.stream.name]
            rekeyed = int(changes.rekeyed.sum())
            counts = np.bincount(changes.operation, minlength=len(Operation))
            stream.inserted += int(counts[Operation.INSERT])
            stream.updated += int(counts[Operation.UPDATE])
            stream.deleted += int(counts[Operation.DELETE]) - rekeyed
            stream.lsn = max(stream.lsn, int(changes.lsn.max()))
            stream.seconds += time.perf_counter() - started

    def apply_relation(self, relation: Relation) -> None:
        """Take note of a table's definition, and change the destination's columns when it is a new one."""
        self._relations[relation.oid] = relation
        table = self._table(relation)
        if table is None:
            return
        announced = [(column.name, column.type_oid, column.type_modifier) for column in relation.columns]
        if announced == [(column.name, column.type_oid, column.type_modifier) for column in table.columns]:
            return
        if self._types is None or not all(self._types.knows(type_oid) for _, type_oid, _ in announced):
            self._types = self.read_types()
        after = Table(table.stream, tuple(self._types.column(*fields) for fields in announced))
        check_names(after.stream, after.columns)
        self._begin()
        state = replace(self.ledger.streams[after.stream.name], columns=after.columns)
        self.destination.evolve(table, after, state)
        self.tables[relation.namespace, relation.name] = after
        self.ledger = replace(self.ledger, streams={**self.ledger.streams, after.stream.name: state})

    def apply_truncate(self, truncate: Truncate, lsn: int, commit_lsn: int, committed_at: int) -> None:
        """Empty the tables that the source emptied."""
        for oid in truncate.relation_oids:
            table = self._table(self._relations[oid])
            if table is None:
                continue
            state = self.ledger.streams[table.stream.name]
            if commit_lsn < state.snapshot_lsn:
                continue
            self._begin()
            stream = self.report.streams[table.stream.name]
            stream.truncated += self.destination.truncate(table, state, lsn, committed_at)
            stream.lsn = max(stream.lsn, lsn)

    def commit(self, lsn: int, committed_at: int | None) -> int:
        """Make everything applied so far visible with the ledger at ``lsn``; return that place."""
        self._begin()
        self.ledger = replace(
            self.ledger,
            lsn=lsn,
            sync_id=self.stamp.sync_id,
            extracted_at=self.stamp.extracted_at,
            committed_at=committed_at if committed_at is not None else self.ledger.committed_at,
        )
        self.destination.commit(self.ledger)
        self._open = False
        return lsn

    def _begin(self) -> None:
        if not self._open:
            self.destination.begin(self.stamp)
            self._open = True

    def _table(self, relation: Relation) -> Table | None:
        """The stream's table; none for a table of the publication that is no stream, or is not read from the log."""
        table = self.tables.get((relation.namespace, relation.name))
        return table if table is not None and table.stream.mode in _LOG_MODES else None


class Worker:
    """Runs an applier's calls one after another on one thread, with a bounded number of them waiting."""

    def __init__(self, while_waiting: Callable[[], None], waiting: int = 2) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="apply")
        self._while_waiting = while_waiting
        self._waiting = waiting
        self._pending: deque[Future[object]] = deque()
        self._failed = False

    def submit(self, call: Callable[..., object], *arguments: object) -> "Future[object]":
        """Hand over a call; wait while too many are pending. An earlier call's error is raised here."""
        while len(self._pending) > self._waiting:
            self._take_first()
        future = self._executor.submit(self._run, call, *arguments)
        self._pending.append(future)
        return future

    def drain(self) -> None:
        """Wait until every call is done; an error of one of them is raised here."""
        while self._pending:
            self._take_first()

    def close(self) -> None:
        """Drop what waits and let the running call end."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _run(self, call: Callable[..., object], *arguments: object) -> object:
        """Run one call, unless an earlier one failed: what comes after it in the log must not land without it."""
        if self._failed:
            raise CancelledError
        self._failed = True
        outcome = call(*arguments)
        self._failed = False
        return outcome

    def _take_first(self) -> None:
        first = self._pending[0]
        while not first.done():
            wait([first], timeout=1)
            self._while_waiting()
        self._pending.popleft().result()
