"""The bytes of a running COPY BOTH, as frames of the server's protocol: a kind, a length, a payload.

PostgreSQL documentation, 54.7 "Message Formats". libpq hands over one message a call, which costs more than
decoding it. So the connection is made by libpq, authentication and all, and then its socket is read in large pieces. A
connection that is encrypted stays with libpq, and its messages are framed again: whoever reads sees the same bytes.
"""

import os
import select
import socket
import time
from struct import Struct
from typing import Any, Protocol

import psycopg
from psycopg import Connection, pq

from dvd_rental_dagster.errors import SlotError, SourceUnreachableError, one_line
from dvd_rental_dagster.replication.remedies import RESUME
from dvd_rental_dagster.replication.session import Silence

HEADER = Struct("!cI")
"""A frame's kind, and its length without the kind."""

COPY_DATA = ord("d")
_COPY_DONE = ord("c")
_COPY_BOTH = ord("W")
_ERROR = ord("E")
_DRAINED = 1 << 16


class Wire(Protocol):
    """A connection in COPY BOTH mode, once it was started."""

    def start(self, command: bytes) -> None:
        """Issue the command.

        Raises:
            SlotError: the server refused; the message is the server's.
            SourceUnreachableError: the connection broke, or the server does not answer.
        """

    def receive_into(self, space: memoryview, timeout: float) -> int:
        """Read frames' bytes; wait at most ``timeout`` seconds for the first, and return how many there were.

        Raises:
            SourceUnreachableError: the connection broke.
        """

    def send(self, payload: bytes) -> None:
        """Send one CopyData message."""

    def finish(self) -> None:
        """End COPY BOTH in order; the server has handled everything sent before when this returns."""

    def close(self) -> None:
        """Let go of the connection, in order or not."""


def open_wire(connection: Connection[Any], command: bytes) -> Wire:
    """Issue a replication command that answers with COPY BOTH.

    Raises:
        SlotError: the server refused; the message is the server's.
        SourceUnreachableError: the connection broke, or the server does not answer.
    """
    wire: Wire = _SocketWire(connection) if _is_plain(connection) else _LibpqWire(connection)
    try:
        wire.start(command)
    except (SlotError, SourceUnreachableError):
        wire.close()
        raise
    return wire


def _is_plain(connection: Connection[Any]) -> bool:
    """Whether nothing encrypts; libpq does not tell whether GSSAPI does, only whether it may.

    ``ConnectionInfo.get_parameters`` leaves out what is libpq's default, and without GSSAPI that is ``disable``.
    """
    may_use_gssapi = {option.keyword: option.val for option in connection.pgconn.info}[b"gssencmode"] != b"disable"
    return not (may_use_gssapi or connection.pgconn.ssl_in_use)


def server_message(payload: bytes) -> str:
    """The text of an ErrorResponse (54.8 "Error and Notice Message Fields")."""
    fields = {field[:1]: field[1:].decode(errors="replace") for field in payload.split(b"\0") if field}
    return fields.get(b"M", "no reason given")


class _SocketWire:
    def __init__(self, connection: Connection[Any]) -> None:
        self._socket = socket.socket(fileno=os.dup(connection.pgconn.socket))
        self._socket.settimeout(0)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def start(self, command: bytes) -> None:
        self._write(HEADER.pack(b"Q", len(command) + 5) + command + b"\0")
        kind, payload = self._frame()
        while kind not in {_COPY_BOTH, _ERROR}:
            kind, payload = self._frame()
        if kind == _ERROR:
            raise SlotError(f"The source does not start the log stream: {server_message(payload)}.")

    def receive_into(self, space: memoryview, timeout: float) -> int:
        if not self._poll.poll(timeout * 1000):
            return 0
        try:
            size = self._socket.recv_into(space)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise _broken(error) from error
        if size == 0:
            raise _broken("the server closed the connection")
        return size

    def send(self, payload: bytes) -> None:
        self._write(HEADER.pack(b"d", len(payload) + 4) + payload)

    def finish(self) -> None:
        """What the server still sends is not read as frames, for the last one may have been taken off in part."""
        self._write(HEADER.pack(b"c", 4) + HEADER.pack(b"X", 4))
        _drain(self._socket)

    def close(self) -> None:
        self._socket.close()

    def _write(self, data: bytes) -> None:
        try:
            self._socket.settimeout(Silence.limit_seconds)
            self._socket.sendall(data)
            self._socket.settimeout(0)
        except OSError as error:
            raise _broken(error) from error

    def _frame(self) -> tuple[int, bytes]:
        """Read exactly one frame."""
        kind, length = HEADER.unpack(self._exactly(HEADER.size))
        return kind[0], self._exactly(length - 4)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            space = bytearray(size - len(data))
            came = self.receive_into(memoryview(space), Silence.limit_seconds)
            if not came:
                raise _silent()
            data += space[:came]
        return bytes(data)


class _LibpqWire:
    """libpq's own functions, none of which waits: get_copy_data(0) would, and hold the interpreter meanwhile."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._socket = socket.socket(fileno=os.dup(self._pgconn.socket))
        self._waiting = b""

    def start(self, command: bytes) -> None:
        try:
            self._pgconn.send_query(command)
            self._flush()
            while self._pgconn.is_busy():
                self._await(select.POLLIN)
                self._pgconn.consume_input()
            result = self._pgconn.get_result()
        except psycopg.OperationalError as error:
            raise _broken(error) from error
        if result is None or result.status != pq.ExecStatus.COPY_BOTH:
            reason = result.error_message.decode(errors="replace").strip() if result else "no reason given"
            raise SlotError(f"The source does not start the log stream: {reason}.")

    def receive_into(self, space: memoryview, timeout: float) -> int:
        try:
            self._waiting = self._waiting or self._next_frame()
            if not self._waiting:
                self._ready(select.POLLIN, timeout)
                self._pgconn.consume_input()  # also when nothing came: OpenSSL may hold the rest of a record
                self._waiting = self._next_frame()
            filled = 0
            while self._waiting and filled < len(space):
                piece = self._waiting[: len(space) - filled]
                space[filled : filled + len(piece)] = piece
                filled += len(piece)
                self._waiting = self._waiting[len(piece) :] or self._next_frame()
        except psycopg.OperationalError as error:
            raise _broken(error) from error
        return filled

    def send(self, payload: bytes) -> None:
        try:
            while not self._pgconn.put_copy_data(payload):  # libpq's buffer is full
                self._await(select.POLLIN | select.POLLOUT)
                self._pgconn.consume_input()
                self._pgconn.flush()
            self._flush()
        except psycopg.OperationalError as error:
            raise _broken(error) from error

    def finish(self) -> None:
        """Say goodbye by closing libpq's connection; the socket stays, and is drained as it is, encrypted."""
        try:
            while not self._pgconn.put_copy_end():
                self._await(select.POLLIN | select.POLLOUT)
                self._pgconn.consume_input()
                self._pgconn.flush()
            self._flush()
        except psycopg.OperationalError as error:
            raise _broken(error) from error
        self._connection.close()
        _drain(self._socket)

    def close(self) -> None:
        """Let go of the socket; the connection is closed by whoever opened it."""
        self._socket.close()

    def _next_frame(self) -> bytes:
        size, message = self._pgconn.get_copy_data(1)
        if size > 0:
            return HEADER.pack(b"d", size + 4) + bytes(message)
        if size == 0:
            return b""
        result = self._pgconn.get_result()
        raise _broken(result.error_message.decode(errors="replace").strip() if result else "the stream ended")

    def _flush(self) -> None:
        """Send what libpq holds; it may have to read first, for the server stops reading when nobody reads it."""
        while self._pgconn.flush():
            if self._await(select.POLLIN | select.POLLOUT) & select.POLLIN:
                self._pgconn.consume_input()

    def _await(self, events: int) -> int:
        """Wait until libpq can go on; tell what for."""
        ready = self._ready(events, Silence.limit_seconds)
        if not ready:
            raise _silent()
        return ready

    def _ready(self, events: int, timeout: float) -> int:
        poll = select.poll()
        poll.register(self._socket, events)
        return next((event for _, event in poll.poll(timeout * 1000)), 0)


def _drain(goodbye: socket.socket) -> None:
    """Wait until the server hangs up: by then it has handled what was sent before.

    One that falls silent here has the last acknowledgement or has not; the next sync is right either way.
    """
    rest = bytearray(_DRAINED)
    deadline = time.monotonic() + Silence.limit_seconds
    poll = select.poll()
    poll.register(goodbye, select.POLLIN)
    while poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        try:
            if not goodbye.recv_into(rest):
                break
        except BlockingIOError:
            continue
        except OSError:
            break  # reset, or given up by the kernel


def _silent() -> SourceUnreachableError:
    return _broken(f"no answer within {Silence.limit_seconds:.0f} seconds")


def _broken(reason: object) -> SourceUnreachableError:
    text = one_line(reason)
    return SourceUnreachableError(f"The connection to the source broke: {text}. {RESUME}")
