"""Reads the log up to a target and hands it, in bounded batches, to the applier.

A batch ends at a transaction's end, or inside a transaction larger than the bound; only at a transaction's end does the
warehouse commit, so that no reader sees half of one.
"""

from concurrent.futures import Future
from struct import Struct

from dvd_rental_dagster.errors import ProtocolError, SlotError
from dvd_rental_dagster.progress import Progress
from dvd_rental_dagster.replication.applier import Applier, Worker
from dvd_rental_dagster.replication.failpoint import FailPoint, reach
from dvd_rental_dagster.replication.pgoutput import (
    HEADER_LENGTH,
    Tag,
    decode_begin,
    decode_commit,
    decode_relation,
    decode_truncate,
)
from dvd_rental_dagster.replication.remedies import RESUME
from dvd_rental_dagster.replication.rows import PADDING_BYTES, Transactions
from dvd_rental_dagster.replication.stream import LogStream
from dvd_rental_dagster.replication.wire import COPY_DATA, server_message

BATCH_BYTES = 8 << 20
"""Bytes of the log that one batch holds at most, unless a single message is larger; twice as many of many tables."""

_MANY_TABLES = 8
"""Each table of a batch is merged apart, which costs a few hundredths of a second however few its rows are."""

_LENGTH = Struct("!I")
_FRAME = 5
_XLOG_DATA = ord("w")
_KEEPALIVE = ord("k")
_ERROR = ord("E")
_ROWS = frozenset({Tag.INSERT.value, Tag.UPDATE.value, Tag.DELETE.value})


class LogReader:
    """Groups the log's messages into batches and commits; the batch's buffer is filled straight from the wire."""

    def __init__(self, stream: LogStream, worker: Worker, applier: Applier, progress: Progress) -> None:
        self._stream = stream
        self._worker = worker
        self._applier = applier
        self._progress = progress
        self._buffer = bytearray(BATCH_BYTES)
        self._filled = 0
        self._parsed = 0
        self._rows: list[int] = []
        self._transactions = Transactions([], [], [])
        self._definitions: dict[bytes, bytes] = {}
        self._commit_lsn = 0
        self._commit_time = 0
        self._open = False
        self._count = 0
        self._target_lsn = 0
        self._stop_lsn: int | None = None
        self._stopped = False
        self._committed_lsn = 0
        self._uncommitted = False
        self._committed_at: int | None = None
        self._commits: list[tuple[int, Future[object]]] = []

    def read(self, start_lsn: int, target_lsn: int, *, exactly: bool = False) -> int:
        """Read from ``start_lsn`` until the server has sent everything up to ``target_lsn``; count the transactions.

        ``exactly`` leaves out what committed at the target or behind it, as a snapshot of that place does.

        Raises:
            SourceUnreachableError: the connection broke.
            SlotError: the server ended the stream.
            ProtocolError: the server sent what its protocol does not allow.
        """
        self._target_lsn = target_lsn
        self._stop_lsn = target_lsn if exactly else None
        while not self._has_arrived():
            self._make_room()
            with memoryview(self._buffer) as space:
                self._filled += self._stream.receive_into(space[self._filled : -PADDING_BYTES])
            reach(FailPoint.AFTER_READ)
            self._parse()
            self._acknowledge()
            done = max(self._committed_lsn - start_lsn, 0)
            self._progress("Reading the log", done, max(target_lsn - start_lsn, done))
        self._flush()
        end_lsn = target_lsn if exactly else max(self._stream.received_lsn, self._committed_lsn)
        self._worker.submit(self._applier.commit, end_lsn, self._committed_at)
        self._worker.drain()
        self._stream.acknowledge(end_lsn)
        return self._count

    def _has_arrived(self) -> bool:
        """Whether the server has sent everything up to the target; a transaction that began is read to its end."""
        return self._stopped or (not self._open and self._stream.received_lsn >= self._target_lsn)

    def _make_room(self) -> None:
        """Flush a full buffer; grow it when one message alone is larger."""
        if self._filled < len(self._buffer) - PADDING_BYTES:
            return
        if self._rows:
            self._flush()
        elif self._parsed:
            self._start_buffer()
        else:
            self._buffer += bytes(len(self._buffer))

    def _parse(self) -> None:
        """Go through the whole frames in the buffer, up to the target; rows are noted, and decoded by the batch."""
        buffer, position, filled = self._buffer, self._parsed, self._filled
        note_row = self._rows.append
        length_at = _LENGTH.unpack_from
        while position + _FRAME <= filled:
            end = position + 1 + length_at(buffer, position + 1)[0]
            if end > filled:
                break
            message = position + _FRAME
            if buffer[position] != COPY_DATA:
                self._raise_end(buffer[position], bytes(buffer[message:end]))
            position = end
            if buffer[message] == _XLOG_DATA:
                tag = buffer[message + HEADER_LENGTH]
                if tag in _ROWS:
                    note_row(message)
                    continue
                self._parsed = end
                if tag == Tag.BEGIN:
                    self._begin_transaction(message + HEADER_LENGTH)
                else:
                    handed_over = (
                        self._end_transaction(message + HEADER_LENGTH)
                        if tag == Tag.COMMIT
                        else self._control(bytes(buffer[message:end]))
                    )
                    if handed_over:
                        buffer, position, filled = self._buffer, self._parsed, self._filled
                        note_row = self._rows.append
            elif buffer[message] == _KEEPALIVE:
                self._stream.note_keepalive(bytes(buffer[message:end]))
            else:
                raise ProtocolError(f"The log has a message of unknown kind {buffer[message]}. {RESUME}")
            if self._has_arrived():
                break
        self._parsed = position

    def _control(self, message: bytes) -> bool:
        """Handle a message that is about a table as a whole; tell whether the buffer was handed over."""
        tag, payload = message[HEADER_LENGTH], message[HEADER_LENGTH:]
        if tag == Tag.RELATION:
            return self._define(payload)
        if tag == Tag.TRUNCATE:
            self._flush()
            lsn = int.from_bytes(message[1:9])
            self._worker.submit(
                self._applier.apply_truncate, decode_truncate(payload), lsn, self._commit_lsn, self._commit_time
            )
            return True
        return False

    def _begin_transaction(self, position: int) -> None:
        self._commit_lsn, self._commit_time = decode_begin(self._buffer, position)
        self._stopped = self._stop_lsn is not None and self._commit_lsn >= self._stop_lsn
        self._open = not self._stopped
        self._note_transaction()

    def _note_transaction(self) -> None:
        self._transactions.first.append(len(self._rows))
        self._transactions.committed_at.append(self._commit_time)
        self._transactions.commit_lsn.append(self._commit_lsn)

    def _end_transaction(self, position: int) -> bool:
        """Commit to the warehouse at the end of the transaction that fills most of a batch, or ends a larger one."""
        self._open = False
        self._count += 1
        self._committed_at = self._commit_time
        self._committed_lsn = decode_commit(self._buffer, position)
        if not self._uncommitted and self._parsed < self._batch_bytes * 5 // 8:
            return False
        self._flush()
        future = self._worker.submit(self._applier.commit, self._committed_lsn, self._committed_at)
        self._commits.append((self._committed_lsn, future))
        self._uncommitted = False
        return True

    def _define(self, payload: bytes) -> bool:
        """The server repeats definitions freely; only a change of one ends the batch, which may hold rows of before."""
        oid = payload[1:5]
        before = self._definitions.get(oid)
        if before == payload:
            return False
        self._definitions[oid] = payload
        if before is not None:
            self._flush()
        self._worker.submit(self._applier.apply_relation, decode_relation(payload))
        return before is not None

    def _acknowledge(self) -> None:
        """Acknowledge what the worker has committed since."""
        while self._commits and self._commits[0][1].done():
            lsn, future = self._commits.pop(0)
            future.result()
            self._stream.acknowledge(lsn)

    def _flush(self) -> None:
        """Hand over the rows so far, if any; the running transaction goes on in the next batch."""
        if self._rows:
            self._worker.submit(self._applier.apply_batch, self._buffer, self._rows, self._transactions)
            self._uncommitted = True
            self._start_buffer()
        self._rows = []
        self._transactions = Transactions([], [], [])
        if self._open:
            self._note_transaction()

    def _start_buffer(self) -> None:
        """Begin a new buffer with what is not parsed yet."""
        rest = self._buffer[self._parsed : self._filled]
        self._buffer = bytearray(max(self._batch_bytes, 2 * len(rest)))
        self._buffer[: len(rest)] = rest
        self._parsed, self._filled = 0, len(rest)

    @property
    def _batch_bytes(self) -> int:
        return BATCH_BYTES * 2 if len(self._definitions) >= _MANY_TABLES else BATCH_BYTES

    @staticmethod
    def _raise_end(kind: int, payload: bytes) -> None:
        reason = server_message(payload) if kind == _ERROR else "it sent no reason"
        raise SlotError(f"The source ended the log stream: {reason}. {RESUME}")
