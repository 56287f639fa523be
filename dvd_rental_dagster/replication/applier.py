"""Decoded log to destination, on a thread of its own, so that reading the wire and writing the warehouse overlap.

The reader hands over work in the log's order; a single worker keeps it.
"""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from psycopg import Connection

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.replication.array import arrays_to_json
from dvd_rental_dagster.replication.column import Kind, TypeCatalog
from dvd_rental_dagster.replication.destinations import Destination
from dvd_rental_dagster.replication.evolution import plan_evolution, read_attributes
from dvd_rental_dagster.replication.failpoint import FailPoint, reach
from dvd_rental_dagster.replication.identity import check_identity, identifying_columns
from dvd_rental_dagster.replication.ledger import Ledger, Stamp
from dvd_rental_dagster.replication.pgoutput import Relation, Truncate
from dvd_rental_dagster.replication.report import SyncReport
from dvd_rental_dagster.replication.rows import Batch, Operation, Transactions
from dvd_rental_dagster.replication.table import Table, check_names

_LOG_MODES = frozenset({SyncMode.INCREMENTAL_DEDUPED_HISTORY, SyncMode.INCREMENTAL_APPEND})


@dataclass
class Applier:
    """Applies batches, truncates and relations to a destination and commits them with the ledger.

    ``tables`` holds the streams' tables by the source's numbers for them, for a table may be called otherwise for a
    while; ``source`` is an ordinary session at the source.
    """

    destination: Destination
    ledger: Ledger
    stamp: Stamp
    tables: dict[int, Table]
    report: SyncReport
    source: Connection[Any]
    _types: TypeCatalog = field(init=False)
    _relations: dict[int, Relation] = field(default_factory=dict)
    _announced: set[int] = field(default_factory=set)
    _open: bool = False

    def __post_init__(self) -> None:
        self._types = TypeCatalog(self.source)

    def apply_batch(self, buffer: bytearray, starts: list[int], transactions: Transactions) -> None:
        """Decode the row messages and apply them, table by table."""
        batch = Batch(buffer, starts, transactions)
        for oid, indices in batch.by_relation():
            relation = self._relations[oid]
            table = self._table(relation)
            if table is None:
                continue
            selected = batch.committed_since(indices, self.ledger.streams[table.stream.name].snapshot_lsn)
            if not len(selected):
                continue
            started = time.perf_counter()
            table = self._evolved(table, relation, *batch.origin(selected[0]))
            state = self.ledger.streams[table.stream.name]
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
        """Take note of a table's definition; it matters with the first change that has it."""
        self._relations[relation.oid] = relation
        self._announced.add(relation.oid)

    def apply_truncate(self, truncate: Truncate, lsn: int, commit_lsn: int, committed_at: int) -> None:
        """Empty the tables that the source emptied."""
        for oid in truncate.relation_oids:
            relation = self._relations[oid]
            table = self._table(relation)
            if table is None or commit_lsn < self.ledger.streams[table.stream.name].snapshot_lsn:
                continue
            table = self._evolved(table, relation, lsn, committed_at)
            state = self.ledger.streams[table.stream.name]
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
        reach(FailPoint.BEFORE_COMMIT)
        self.destination.commit(self.ledger)
        reach(FailPoint.AFTER_COMMIT)
        self._open = False
        return lsn

    def _begin(self) -> None:
        if not self._open:
            self.destination.begin(self.stamp)
            self._open = True

    def _table(self, relation: Relation) -> Table | None:
        """The stream's table; none for a table of the publication that is no stream, or is not read from the log."""
        table = self.tables.get(relation.oid)
        return table if table is not None and table.stream.mode in _LOG_MODES else None

    def _evolved(self, table: Table, relation: Relation, lsn: int, committed_at: int) -> Table:
        """The table as last announced, the destination's columns with it; ``lsn`` is that of its first change."""
        if relation.oid not in self._announced:
            return table
        self._announced.remove(relation.oid)
        state = self.ledger.streams[table.stream.name]
        check_identity(self.source, table.stream, relation.oid)
        announced = [(column.name, column.type_oid, column.type_modifier) for column in relation.columns]
        if not all(self._types.knows(type_oid) for _, type_oid, _ in announced):
            self._types = TypeCatalog(self.source)
        attributes = read_attributes(self.source, relation.oid)
        evolution = plan_evolution(
            table.stream, table.columns, [self._types.column(*fields) for fields in announced], attributes
        )
        present = {
            column.name: attributes[column.number].name for column in evolution.columns if column.number in attributes
        }
        after = replace(table, columns=evolution.columns, key=identifying_columns(relation, table.stream, present))
        self.tables[relation.oid] = after
        if after.columns != table.columns:
            check_names(after.stream, after.columns)
            self._begin()
            state = replace(state, columns=after.columns)
            self.ledger = replace(self.ledger, streams={**self.ledger.streams, after.stream.name: state})
        if not evolution.changes_nothing:
            # What led to the definition comes right before the change that brings it along.
            self.destination.evolve(after, state, evolution, lsn - 1, committed_at)
            self.report.streams[after.stream.name].evolved = True
        return after


class Worker:
    """Runs an applier's calls one after another on one thread, with a bounded number of them waiting."""

    def __init__(self, while_waiting: Callable[[], None], waiting: int = 2) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="apply")
        self._while_waiting = while_waiting
        self._waiting = waiting
        self._pending: deque[Future[object]] = deque()
        self._failure: BaseException | None = None

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
        """Run one call, unless an earlier one failed: what comes after it in the log must not land without it.

        The calls behind it fail with the same error, for any of them may be the one whose outcome is asked for first.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return call(*arguments)
        except BaseException as error:
            self._failure = error
            raise

    def _take_first(self) -> None:
        first = self._pending[0]
        while not first.done():
            wait([first], timeout=1)
            self._while_waiting()
        self._pending.popleft().result()
