"""A session that reads whole tables as Arrow through ADBC, and that does not outlive its link.

ADBC waits inside libpq, where nothing can interrupt it. So a thread watches the socket that libpq reads, and shuts it
down when the source has fallen silent.
"""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from dvd_rental_dagster.errors import SourceUnreachableError
from dvd_rental_dagster.replication.session import (
    Silence,
    broken,
    ended_the_session,
    locked,
    patient,
    server_ports,
    unreachable,
    waited_for_a_lock,
)

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)  # Linux alone has it; elsewhere the kernel's keepalives serve
_LAST_DATA_RECEIVED = slice(52, 56)  # tcpi_last_data_recv of struct tcp_info (linux/tcp.h), milliseconds ago
_LOOKS_IN_A_LIMIT = 10
_connecting = threading.Lock()


class BulkSession:
    """Statements and full reads in one transaction."""

    def __init__(self, url: str, connection: adbc.Connection) -> None:
        self._url = url
        self._connection = connection
        self._silence = Silence(url, None)
        self._awaiting = False
        self._failure: SourceUnreachableError | None = None

    def another(self) -> adbc.Connection:
        """Connect again as this session did, without reading the source's types again, which costs more than that."""
        return self._connection.adbc_clone()

    def identify(self) -> None:
        """Learn which server process serves, to ask about it when it is silent; it ends the transaction."""
        with self._connection.cursor() as cursor, self._awaited():
            cursor.execute("select pg_catalog.pg_backend_pid()")
            (pid,) = cursor.fetchone()
            self._connection.rollback()
        self._silence = Silence(self._url, pid)

    def execute(self, statement: str) -> None:
        """Execute a statement that has no result.

        Raises:
            SourceUnreachableError: the connection broke, or the source fell silent.
        """
        with self._connection.cursor() as cursor, self._awaited():
            cursor.execute(statement)

    @contextmanager
    def rows(self, query: str) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        """A query's schema and rows, a batch at a time; they must be spent before the context ends.

        Raises:
            SourceUnreachableError: the connection broke or the source fell silent, here or at the next batch.
        """
        with self._connection.cursor() as cursor:
            with self._awaited():
                cursor.execute(query)
                reader = cursor.fetch_record_batch()
            yield reader.schema, self._batches(reader)

    def watch(self, link: socket.socket, closed: threading.Event) -> None:
        """End the link when the source is awaited and silent, until ``closed``."""
        while not closed.wait(Silence.limit_seconds / _LOOKS_IN_A_LIMIT):
            if not self._awaiting or _TCP_INFO is None:
                continue
            received = link.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LAST_DATA_RECEIVED.stop)[_LAST_DATA_RECEIVED]
            self._silence.heard(int.from_bytes(received, "little") / 1000)
            try:
                self._silence.endure()
            except SourceUnreachableError as error:
                self._failure = error
                link.shutdown(socket.SHUT_RDWR)
                return

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while True:
            with self._awaited():
                batch = next(reader, None)
            if batch is None:
                return
            yield batch

    @contextmanager
    def _awaited(self) -> Iterator[None]:
        """Count the time in which the source is waited for, and name what ended the wait."""
        self._silence.heard()
        self._awaiting = True
        try:
            yield
        except OSError as error:  # in the middle of a result
            self._failure = self._failure or broken(self._url, error)
            raise self._failure from error
        except adbc.Error as error:
            if waited_for_a_lock(error.sqlstate):
                raise locked(error) from error
            if error.sqlstate is not None and not ended_the_session(error.sqlstate):
                raise
            self._failure = self._failure or broken(self._url, error)
            raise self._failure from error
        finally:
            self._awaiting = False


@contextmanager
def bulk_session(url: str, like: BulkSession | None = None) -> Iterator[BulkSession]:
    """Open a session with the settings of every other.

    A session ``like`` one that is open to the same URL shares what that one knows of the source's types.

    Raises:
        SourceUnreachableError: no server answers, or it refuses the credentials.
    """
    with _connecting:
        before = _sockets()
        try:
            connection = like.another() if like else adbc.connect(patient(url))
        except adbc.Error as error:
            raise unreachable(url, error) from error
        link = _tcp_link(_sockets() - before, server_ports(url))
    session = BulkSession(url, connection)
    closed = threading.Event()
    watch = threading.Thread(target=session.watch, args=(link, closed), name="silence", daemon=True)
    with connection:
        if link is not None:
            watch.start()
        try:
            session.identify()
            yield session
        finally:
            closed.set()
            if link is not None:
                watch.join()
                link.close()


def _sockets() -> set[tuple[int, int]]:
    """The sockets this process has open: descriptor and inode."""
    found = set()
    for entry in Path("/dev/fd").iterdir():
        with suppress(OSError):  # it was the listing's own, or another thread closed it
            status = os.fstat(int(entry.name))
            if stat.S_ISSOCK(status.st_mode):
                found.add((int(entry.name), status.st_ino))
    return found


def _tcp_link(opened: set[tuple[int, int]], ports: set[str]) -> socket.socket | None:
    """A second handle of the TCP connection to one of the ports among them, for ADBC does not tell which is its own."""
    links = []
    for descriptor, _ in opened:
        with suppress(OSError):  # another thread closed it
            links.append(socket.socket(fileno=os.dup(descriptor)))
    ours = [link for link in links if _TCP_INFO is not None and _peer_port(link) in ports]
    chosen = ours[0] if len(ours) == 1 else None
    for link in links:
        if link is not chosen:
            link.close()
    return chosen


def _peer_port(link: socket.socket) -> str | None:
    if link.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    with suppress(OSError):  # it is not connected
        return str(link.getpeername()[1])
    return None
