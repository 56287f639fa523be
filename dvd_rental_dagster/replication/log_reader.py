"""Reads the log up to a target and hands it, in bounded batches, to the applier.

A batch ends at a transaction's end, or inside a transaction larger than the bound; only at a transaction's end does the
warehouse commit, so that no reader sees half of one.
"""

from concurrent.futures import Future

from dvd_rental_dagster.progress import Progress
from dvd_rental_dagster.replication.applier import Applier, Worker
from dvd_rental_dagster.replication.pgoutput import (
    HEADER_LENGTH,
    Begin,
    Commit,
    Tag,
    decode_begin,
    decode_commit,
    decode_relation,
    decode_truncate,
)
from dvd_rental_dagster.replication.rows import Transactions
from dvd_rental_dagster.replication.stream import LogStream

_BATCH_BYTES = 16 << 20
_ROWS = frozenset({Tag.INSERT.value, Tag.UPDATE.value, Tag.DELETE.value})


class LogReader:
    """Groups the log's messages into batches and commits."""

    def __init__(self, stream: LogStream, worker: Worker, applier: Applier, progress: Progress) -> None:
        self._stream = stream
        self._worker = worker
        self._applier = applier
        self._progress = progress
        self._rows: list[bytes | memoryview] = []
        self._bytes = 0
        self._transactions = Transactions([], [], [])
        self._definitions: dict[bytes, bytes] = {}
        self._begin = Begin(0, 0)
        self._commits: list[tuple[int, Future[object]]] = []

    def read(self, start_lsn: int, target_lsn: int) -> int:
        """Read from ``start_lsn`` until the server has sent everything up to ``target_lsn``; count the transactions."""
        count = 0
        committed_at: int | None = None
        for message in self._stream.messages(target_lsn):
            tag = message[HEADER_LENGTH]
            if tag in _ROWS:
                self._rows.append(message)
                self._bytes += len(message)
                if self._bytes > _BATCH_BYTES:
                    self._flush()
            elif tag == Tag.BEGIN:
                self._begin = decode_begin(bytes(message[HEADER_LENGTH:]))
                self._note_transaction()
            elif tag == Tag.COMMIT:
                count += 1
                committed_at = self._begin.committed_at
                self._end_transaction(
                    decode_commit(bytes(message[HEADER_LENGTH:])), committed_at, start_lsn, target_lsn
                )
            elif tag == Tag.RELATION:
                self._define(bytes(message[HEADER_LENGTH:]))
            elif tag == Tag.TRUNCATE:
                self._truncate(message)
        self._flush()
        end_lsn = self._stream.received_lsn
        self._worker.submit(self._applier.commit, end_lsn, committed_at)
        self._worker.drain()
        self._stream.acknowledge(end_lsn)
        return count

    def _note_transaction(self) -> None:
        self._transactions.first.append(len(self._rows))
        self._transactions.committed_at.append(self._begin.committed_at)
        self._transactions.commit_lsn.append(self._begin.commit_lsn)

    def _end_transaction(self, commit: Commit, committed_at: int, start_lsn: int, target_lsn: int) -> None:
        if self._bytes > _BATCH_BYTES // 2:
            self._flush()
            future = self._worker.submit(self._applier.commit, commit.end_lsn, committed_at)
            self._commits.append((commit.end_lsn, future))
            self._progress("Reading the log", commit.end_lsn - start_lsn, max(target_lsn - start_lsn, 1))
        while self._commits and self._commits[0][1].done():
            lsn, future = self._commits.pop(0)
            future.result()
            self._stream.acknowledge(lsn)

    def _define(self, payload: bytes) -> None:
        """The server repeats definitions freely; only a new one ends the batch."""
        oid = payload[1:5]
        if self._definitions.get(oid) == payload:
            return
        self._definitions[oid] = payload
        self._flush()
        self._worker.submit(self._applier.apply_relation, decode_relation(payload))

    def _truncate(self, message: bytes | memoryview) -> None:
        self._flush()
        lsn = int.from_bytes(message[1:9])
        truncate = decode_truncate(bytes(message[HEADER_LENGTH:]))
        self._worker.submit(
            self._applier.apply_truncate, truncate, lsn, self._begin.commit_lsn, self._begin.committed_at
        )

    def _flush(self) -> None:
        """Hand over the rows so far; the running transaction goes on in the next batch."""
        if self._rows:
            self._worker.submit(self._applier.apply_batch, self._rows, self._transactions)
        self._rows, self._bytes = [], 0
        self._transactions = Transactions([], [], [])
        self._note_transaction()
