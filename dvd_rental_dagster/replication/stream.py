"""The log as it comes off the wire: messages up to a target LSN, and feedback to the server.

PostgreSQL documentation, 54.4 "Streaming Replication Protocol" and 54.5 "Logical Streaming Replication Protocol".
"""

import selectors
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from struct import Struct
from typing import Any

import psycopg
from psycopg import Connection, pq, sql

from dvd_rental_dagster.errors import ProtocolError, SlotError, SourceUnreachableError
from dvd_rental_dagster.replication.lsn import format_lsn
from dvd_rental_dagster.replication.pgoutput import POSTGRES_EPOCH_MICROSECONDS
from dvd_rental_dagster.replication.session import connect_replication

_KEEPALIVE = Struct("!cQqB")
_STATUS = Struct("!cQQQqB")
_XLOG_DATA = ord("w")
_PRIMARY_KEEPALIVE = ord("k")
_FEEDBACK_SECONDS = 5.0
_SILENCE_SECONDS = 60.0


class LogStream:
    """An open ``START_REPLICATION``; iterate ``messages`` and call ``acknowledge`` behind every commit."""

    def __init__(self, connection: Connection[Any], start_lsn: int) -> None:
        self._pgconn = connection.pgconn
        self._acknowledged = start_lsn
        self._received = start_lsn
        self._last_feedback = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pgconn.socket, selectors.EVENT_READ)

    @property
    def received_lsn(self) -> int:
        """The place up to which the server has sent everything."""
        return self._received

    def messages(self, target_lsn: int) -> Iterator[memoryview | bytes]:
        """Yield XLogData messages until the server has sent everything up to the target.

        The server is asked for its place whenever it falls silent, so an idle log ends at once.

        Raises:
            SourceUnreachableError: the connection broke, or the server kept silent.
            SlotError: the server ended the stream.
        """
        get_copy_data = self._pgconn.get_copy_data
        silent_since = time.monotonic()
        asked = False
        while True:
            size, message = get_copy_data(1)
            if size > 0:
                kind = message[0]
                if kind == _XLOG_DATA:
                    asked = False
                    yield message
                elif kind == _PRIMARY_KEEPALIVE:
                    _, end_lsn, _, reply_requested = _KEEPALIVE.unpack(message)
                    self._received = max(self._received, end_lsn)
                    if self._received >= target_lsn:
                        return
                    asked = False
                    if reply_requested:
                        self.send_feedback()
                else:
                    raise ProtocolError(f"The log has a message of unknown kind {kind}. Run the sync again.")
                silent_since = 0.0
            elif size == 0:
                if not asked:
                    self.send_feedback(ask=True)
                    asked = True
                silent_since = silent_since or time.monotonic()
                self._receive(silent_since)
            else:
                self._raise_end()

    def _receive(self, silent_since: float) -> None:
        if not self._selector.select(timeout=_FEEDBACK_SECONDS):
            if time.monotonic() - silent_since > _SILENCE_SECONDS:
                raise SourceUnreachableError(
                    f"The source has not answered for {_SILENCE_SECONDS:.0f} seconds. Look at the network between, "
                    "then run the sync again: it goes on where it stopped."
                )
            self.send_feedback(ask=True)
        self._pgconn.consume_input()

    def acknowledge(self, lsn: int) -> None:
        """Tell the server that everything up to ``lsn`` is safe in the warehouse, so that it may let go of it."""
        self._acknowledged = max(self._acknowledged, lsn)
        self.send_feedback()

    def keep_alive(self) -> None:
        """Send feedback when it is due; call it while something else takes long (``wal_sender_timeout``)."""
        if time.monotonic() - self._last_feedback > _FEEDBACK_SECONDS:
            self.send_feedback()

    def send_feedback(self, *, ask: bool = False) -> None:
        """Send a standby status update; ``ask`` has the server answer with its place."""
        now = int(time.time() * 1_000_000) - POSTGRES_EPOCH_MICROSECONDS
        lsn = self._acknowledged
        self._pgconn.put_copy_data(_STATUS.pack(b"r", max(lsn, self._received), lsn, lsn, now, ask))
        self._pgconn.flush()
        self._last_feedback = time.monotonic()

    def finish(self) -> None:
        """End the stream in order, so that the server has handled the last feedback when this returns."""
        self._pgconn.put_copy_end()
        self._pgconn.flush()
        while True:
            size, _ = self._pgconn.get_copy_data(0)
            if size < 0:
                break
        while self._pgconn.get_result() is not None:
            pass

    def _raise_end(self) -> None:
        result = self._pgconn.get_result()
        reason = result.error_message.decode(errors="replace").strip() if result is not None else "no reason given"
        raise SlotError(f"The source ended the log stream: {reason}. Run the sync again: it goes on where it stopped.")


@contextmanager
def open_stream(url: str, slot: str, publication: str, start_lsn: int) -> Iterator[LogStream]:
    """Start replication at ``start_lsn``; transactions that committed before it are left out by the server.

    Raises:
        SlotError: the slot cannot be read: it is in use, or its log is gone.
        SourceUnreachableError: the connection cannot be made, or breaks.
    """
    command = sql.SQL("START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {})").format(
        sql.Identifier(slot), sql.SQL(format_lsn(start_lsn)), sql.Literal(_quoted_name(publication))
    )
    with closing(connect_replication(url)) as connection:
        pgconn = connection.pgconn
        pgconn.send_query(command.as_bytes(connection))
        result = pgconn.get_result()
        if result is None or result.status != pq.ExecStatus.COPY_BOTH:
            reason = result.error_message.decode(errors="replace").strip() if result is not None else "no answer"
            raise SlotError(f"Slot {slot} cannot be read from {format_lsn(start_lsn)}: {reason}.")
        stream = LogStream(connection, start_lsn)
        try:
            yield stream
        except psycopg.OperationalError as error:
            raise SourceUnreachableError(
                f"The connection to the source broke: {str(error).strip()}. "
                "Run the sync again: it goes on where it stopped."
            ) from error


def _quoted_name(name: str) -> str:
    """A name in a comma-separated list of names, where it is quoted as an identifier."""
    return '"' + name.replace('"', '""') + '"'
