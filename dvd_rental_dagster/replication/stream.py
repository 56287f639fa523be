"""The open log stream: what the server has sent, and feedback to it.

PostgreSQL documentation, 54.4 "Streaming Replication Protocol" and 54.5 "Logical Streaming Replication Protocol".
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from struct import Struct

from psycopg import sql

from dvd_rental_dagster.replication.failpoint import FailPoint, reach
from dvd_rental_dagster.replication.lsn import format_lsn
from dvd_rental_dagster.replication.pgoutput import POSTGRES_EPOCH_MICROSECONDS
from dvd_rental_dagster.replication.session import Silence, connect_replication
from dvd_rental_dagster.replication.wire import Wire, open_wire

_KEEPALIVE = Struct("!cQqB")
_STATUS = Struct("!cQQQqB")
_ASK_AFTER_SECONDS = 0.005
_FEEDBACK_SECONDS = 5.0


class LogStream:
    """A running ``START_REPLICATION``: ``receive_into`` what comes, ``acknowledge`` behind every commit."""

    def __init__(self, wire: Wire, silence: Silence, start_lsn: int) -> None:
        self._wire = wire
        self._silence = silence
        self._acknowledged = start_lsn
        self._received = start_lsn
        self._last_feedback = time.monotonic()

    @property
    def received_lsn(self) -> int:
        """The place up to which the server has sent everything."""
        return self._received

    def receive_into(self, space: memoryview) -> int:
        """Read the next bytes; a server that falls silent is asked for its place, so an idle log ends at once.

        Raises:
            SourceUnreachableError: the connection broke, or the server does not answer.
        """
        self.keep_alive()
        size = self._wire.receive_into(space, _ASK_AFTER_SECONDS)
        if not size:
            self._silence.heard()
        while not size:
            self._send_feedback(ask=True)
            size = self._wire.receive_into(space, min(_FEEDBACK_SECONDS, self._silence.limit_seconds))
            if not size:
                self._silence.endure()
        return size

    def note_keepalive(self, message: bytes) -> None:
        """Take note of the place that the server tells, and answer if it asks to."""
        _, end_lsn, _, reply_requested = _KEEPALIVE.unpack(message)
        self._received = max(self._received, end_lsn)
        if reply_requested:
            self._send_feedback()

    def acknowledge(self, lsn: int) -> None:
        """Tell the server that everything up to ``lsn`` is safe in the warehouse, so that it may let go of it."""
        self._acknowledged = max(self._acknowledged, lsn)
        self._send_feedback()
        reach(FailPoint.AFTER_ACKNOWLEDGE)

    def keep_alive(self) -> None:
        """Send feedback when it is due; call it while something else takes long (``wal_sender_timeout``)."""
        if time.monotonic() - self._last_feedback > _FEEDBACK_SECONDS:
            self._send_feedback()

    def finish(self) -> None:
        """End the stream in order, so that the server has handled the last feedback when this returns."""
        self._wire.finish()

    def _send_feedback(self, *, ask: bool = False) -> None:
        """Send a standby status update; ``ask`` has the server answer with its place."""
        now = int(time.time() * 1_000_000) - POSTGRES_EPOCH_MICROSECONDS
        lsn = self._acknowledged
        self._wire.send(_STATUS.pack(b"r", max(lsn, self._received), lsn, lsn, now, ask))
        self._last_feedback = time.monotonic()


@contextmanager
def open_stream(url: str, slot: str, publication: str, start_lsn: int) -> Iterator[LogStream]:
    """Start replication at ``start_lsn``; transactions that committed before it are left out by the server.

    Raises:
        SlotError: the slot cannot be read: it is in use, or its log is gone.
        SourceUnreachableError: the connection cannot be made, or breaks.
    """
    command = sql.SQL("START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {})").format(
        sql.Identifier(slot), sql.SQL(format_lsn(start_lsn)), sql.Literal(sql.Identifier(publication).as_string())
    )
    with (
        closing(connect_replication(url)) as connection,
        closing(open_wire(connection, command.as_bytes(connection))) as wire,
    ):
        yield LogStream(wire, Silence(url, connection.info.backend_pid), start_lsn)
