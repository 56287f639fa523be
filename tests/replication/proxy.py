"""A TCP proxy before the source whose link fails on command, at an exact byte of a conversation."""

import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Self

from dvd_rental_dagster.source.connection_string import build, parts

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: close() sends RST
_PIECE = 1 << 16
_PIECES_A_SECOND = 20


@dataclass
class Fault:
    """What befalls a connection on which the client said ``said``, ``after`` so many further bytes from the server.

    ``everywhere`` extends it from then on to all connections, new ones included; ``struck`` tells when.
    """

    kind: Literal["none", "cut", "silence", "pause"] = "none"
    said: bytes = b""
    after: int = 0
    everywhere: bool = False
    meanwhile: Callable[[], object] = bool
    struck: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Forwards a loopback port to the server of a URL; ``url`` is that URL through the proxy.

    ``bytes_per_second`` is what every connection carries from the server, or no bound.
    """

    def __init__(self, url: str, bytes_per_second: int = 0) -> None:
        self.target = (parts(url)["host"], int(parts(url)["port"]))
        self.bytes_per_second = bytes_per_second
        self.fault = Fault()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = build({**parts(url), "host": "127.0.0.1", "port": str(self._listener.getsockname()[1])})
        self._links: list[_Link] = []
        self._acceptor = threading.Thread(target=self._accept, name="proxy")

    def cut(self, said: bytes, after: int = 0) -> Fault:
        """Reset the connection, on both sides."""
        self.fault = Fault("cut", said, after)
        return self.fault

    def silence(self, said: bytes, after: int = 0, *, everywhere: bool = False) -> Fault:
        """Forward nothing any more, and keep the connection open."""
        self.fault = Fault("silence", said, after, everywhere)
        return self.fault

    def pause(self, said: bytes, after: int, meanwhile: Callable[[], object]) -> Fault:
        """Call ``meanwhile`` once, and forward again when it returns."""
        self.fault = Fault("pause", said, after, meanwhile=meanwhile)
        return self.fault

    def heal(self) -> None:
        """Reset every connection there is; those made from now on are sound."""
        self.fault = Fault()
        for link in self._links:
            link.end()
            link.join()

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        self.heal()

    def _accept(self) -> None:
        with suppress(OSError):  # the proxy closes
            while True:
                link = _Link(self, self._listener.accept()[0])
                self._links.append(link)
                link.start()


class _Link(threading.Thread):
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        super().__init__(name="proxy link")
        self._proxy = proxy
        self._client = client
        self._server = socket.socket()
        self._end, self._ended = socket.socketpair()
        self._said = b""
        self._left: int | None = None

    def end(self) -> None:
        """Reset the connection, from any thread."""
        with suppress(OSError):  # it has ended by itself
            self._end.shutdown(socket.SHUT_WR)

    def run(self) -> None:
        try:
            if not self._is_silent():
                self._server.connect(self._proxy.target)
            while self._forward():
                pass
        except OSError:
            pass  # one side is gone: so goes the other
        finally:
            for side in (self._client, self._server):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            for each in (self._client, self._server, self._end, self._ended):
                each.close()

    def _forward(self) -> bool:
        """Forward what has come; whether the connection goes on."""
        ready, _, _ = select.select([self._client, self._server, self._ended], [], [])
        if self._ended in ready:
            return False
        if self._is_silent():
            return self._fall_silent()
        if self._client in ready:
            piece = self._client.recv(_PIECE)
            self._server.sendall(piece)
            self._listen(piece)
            return bool(piece)
        piece = self._server.recv(self._proxy.bytes_per_second // _PIECES_A_SECOND or _PIECE)
        if not piece:
            return False
        if self._left is not None and len(piece) >= self._left:
            self._client.sendall(piece[: self._left])
            piece = piece[self._left :]
            self._left = None
            if not self._strike():
                return False
        self._client.sendall(piece)
        if self._left is not None:
            self._left -= len(piece)
        return not (self._proxy.bytes_per_second and self._pause())

    def _listen(self, piece: bytes) -> None:
        """Hear what the client says, until it says what brings the fault."""
        fault = self._proxy.fault
        self._said += piece
        if self._left is None and not fault.struck.is_set() and fault.kind != "none" and fault.said in self._said:
            self._left = fault.after

    def _strike(self) -> bool:
        """Have the fault happen; whether the connection goes on."""
        fault = self._proxy.fault
        fault.struck.set()
        if fault.kind == "silence":
            return self._fall_silent()
        fault.meanwhile()
        return fault.kind == "pause"

    def _is_silent(self) -> bool:
        """Whether a fault of all connections has struck."""
        fault = self._proxy.fault
        return fault.kind == "silence" and fault.everywhere and fault.struck.is_set()

    def _fall_silent(self) -> bool:
        """Wait for the end."""
        select.select([self._ended], [], [])
        return False

    def _pause(self) -> bool:
        """Wait as long as a piece takes on a slow link; whether the connection ended meanwhile."""
        return bool(select.select([self._ended], [], [], 1 / _PIECES_A_SECOND)[0])
