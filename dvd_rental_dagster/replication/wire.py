"""The bytes of a running COPY BOTH, as frames of the server's protocol: a kind, a length, a payload.

PostgreSQL documentation, 54.7 "Message Formats". libpq hands over one message a call, which costs more than
decoding it. So the connection is made by libpq, authentication and all, and then its socket is read in large pieces. A
connection that is encrypted stays with libpq, and its messages are framed again: whoever reads sees the same bytes.
"""

import os
import select
import socket
from struct import Struct
from typing import Any, Protocol

import psycopg
from psycopg import Connection, pq

from dvd_rental_dagster.errors import SlotError, SourceUnreachableError

HEADER = Struct("!cI")
"""A frame's kind, and its length without the kind."""

COPY_DATA = ord("d")
_COPY_DONE = ord("c")
_COPY_BOTH = ord("W")
_ERROR = ord("E")
_GOODBYE_SECONDS = 30
_RESUME = "Run the sync again: it goes on where it stopped."


class Wire(Protocol):
    """A connection in COPY BOTH mode."""

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
        SourceUnreachableError: the connection broke.
    """
    if connection.pgconn.ssl_in_use:
        return _LibpqWire(connection, command)
    return _SocketWire(connection, command)


def server_message(payload: bytes) -> str:
    """The text of an ErrorResponse (54.8 "Error and Notice Message Fields")."""
    fields = {field[:1]: field[1:].decode(errors="replace") for field in payload.split(b"\0") if field}
    return fields.get(b"M", "no reason given")


class _SocketWire:
    def __init__(self, connection: Connection[Any], command: bytes) -> None:
        self._socket = socket.socket(fileno=os.dup(connection.pgconn.socket))
        self._socket.settimeout(0)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._write(HEADER.pack(b"Q", len(command) + 5) + command + b"\0")
        kind, payload = self._frame()
        while kind not in {_COPY_BOTH, _ERROR}:
            kind, payload = self._frame()
        if kind == _ERROR:
            self._socket.close()
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
        """Say goodbye and wait until the server hangs up: by then it has handled what was sent before.

        What it still sends is not read as frames, for the last one may have been taken off the wire in part.
        """
        self._write(HEADER.pack(b"c", 4) + HEADER.pack(b"X", 4))
        rest = bytearray(1 << 16)
        while self._poll.poll(_GOODBYE_SECONDS * 1000):
            try:
                if not self._socket.recv_into(rest):
                    break
            except BlockingIOError:
                continue
            except ConnectionResetError:
                break

    def close(self) -> None:
        self._socket.close()

    def _write(self, data: bytes) -> None:
        try:
            self._socket.settimeout(None)
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
            data += space[: self.receive_into(memoryview(space), 60)]
        return bytes(data)


class _LibpqWire:
    def __init__(self, connection: Connection[Any], command: bytes) -> None:
        self._pgconn = connection.pgconn
        self._poll = select.poll()
        self._poll.register(self._pgconn.socket, select.POLLIN)
        self._pgconn.send_query(command)
        result = self._pgconn.get_result()
        if result is None or result.status != pq.ExecStatus.COPY_BOTH:
            reason = result.error_message.decode(errors="replace").strip() if result else "no reason given"
            raise SlotError(f"The source does not start the log stream: {reason}.")
        self._waiting = b""

    def receive_into(self, space: memoryview, timeout: float) -> int:
        if not self._waiting:
            self._waiting = self._next_frame()
        if not self._waiting:
            if not self._poll.poll(timeout * 1000):
                return 0
            try:
                self._pgconn.consume_input()
            except psycopg.OperationalError as error:
                raise _broken(error) from error
            self._waiting = self._next_frame()
        filled = 0
        while self._waiting and filled < len(space):
            piece = self._waiting[: len(space) - filled]
            space[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._waiting = self._waiting[len(piece) :] or self._next_frame()
        return filled

    def _next_frame(self) -> bytes:
        size, message = self._pgconn.get_copy_data(1)
        if size > 0:
            return HEADER.pack(b"d", size + 4) + bytes(message)
        if size == 0:
            return b""
        result = self._pgconn.get_result()
        raise _broken(result.error_message.decode(errors="replace").strip() if result else "the stream ended")

    def send(self, payload: bytes) -> None:
        self._pgconn.put_copy_data(payload)
        self._pgconn.flush()

    def finish(self) -> None:
        self._pgconn.put_copy_end()
        self._pgconn.flush()
        while self._pgconn.get_copy_data(0)[0] >= 0:
            pass
        while self._pgconn.get_result() is not None:
            pass

    def close(self) -> None:
        """Nothing of its own: libpq's connection is closed by whoever opened it."""


def _broken(reason: object) -> SourceUnreachableError:
    return SourceUnreachableError(f"The connection to the source broke: {reason}. {_RESUME}")
