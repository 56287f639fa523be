"""Connections to the source whose settings no role, database or server default can change, and that never hang.

The text of a value depends on them (PostgreSQL documentation, 19.11.2 "Locale and Formatting"), that of a ``regclass``
and its like on the search path as well. What is not the system's own is therefore named with its schema.
"""

import time
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg import Connection, pq
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dvd_rental_dagster.errors import SourceLockedError, SourceUnreachableError, one_line
from dvd_rental_dagster.replication.remedies import RESUME

_SETTINGS = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmloption": "content",
    "client_encoding": "UTF8",
    "lc_monetary": "C",
    "search_path": "pg_catalog",
    "row_security": "off",  # an error where a policy would hide rows
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # The server's side of a dead link: it lets go of slot and snapshot within a minute or so, not within two hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "wal_sender_timeout": "60s",
}
# The client's side (32.1.2 "Parameter Key Words"); the connection string may say otherwise.
_LINK = {
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "gssencmode": "disable",
    "application_name": "dvd-rental",
}
LOCK_WAIT_SECONDS = 60
"""How long a statement waits for a table that another session keeps to itself, such as in an ALTER TABLE."""

_RETURN = TypeVar("_RETURN")


class Silence:
    """Bounds how long a session waits for a source that says nothing, for kernels and proxies may keep a dead link up.

    ``limit_seconds`` is when doubt begins. Then another connection asks what the session's server process does: one
    that computes, or waits for a lock, is waited for.
    """

    limit_seconds: ClassVar[float] = 60.0

    def __init__(self, url: str, pid: int | None) -> None:
        self._url = url
        self._pid = pid
        self._since = time.monotonic()

    def heard(self, seconds_ago: float = 0) -> None:
        """Begin anew: the source said something, or is asked something only now."""
        self._since = max(self._since, time.monotonic() - seconds_ago)

    def endure(self) -> None:
        """Call while nothing comes.

        Raises:
            SourceUnreachableError: the source has been silent for too long, and not because it works.
        """
        if time.monotonic() - self._since < self.limit_seconds:
            return
        if self._pid is None or not _works(self._url, self._pid):
            raise SourceUnreachableError(
                f"The source at {_place(self._url)} has not answered for {self.limit_seconds:.0f} seconds. "
                f"Look at the network between. {RESUME}"
            )
        self.heard()


class _Session(Connection[Any]):
    """A connection whose every wait for the server ends, with an error that says so when the link is dead."""

    url = ""
    pid: int | None = None

    def wait(self, gen: PQGen[_RETURN], interval: float = 0.1, timeout: float | None = None) -> _RETURN:
        """Wait for the server's answer.

        Raises:
            SourceUnreachableError: the connection broke, or the server is silent.
            SourceLockedError: another session keeps what is asked for to itself.
        """
        try:
            return super().wait(self._bounded(gen), interval, timeout)
        except psycopg.OperationalError as error:
            if self.closed or ended_the_session(error.sqlstate):
                raise broken(self.url, error) from error
            if waited_for_a_lock(error.sqlstate):
                raise locked(error) from error
            raise
        except SourceUnreachableError:
            self.close()  # a rollback would wait for the same answer
            raise

    def _bounded(self, gen: PQGen[_RETURN]) -> PQGen[_RETURN]:
        """The same generator, which minds the time as it is resumed; nothing is ready when the interval passes."""
        silence = Silence(self.url, self.pid)
        try:
            awaited = next(gen)
            while True:
                ready = yield awaited
                if ready:
                    silence.heard()
                else:
                    silence.endure()
                awaited = gen.send(ready)
        except StopIteration as done:
            returned: _RETURN = done.value
            return returned


def pinned(url: str, **settings: str) -> str:
    """The connection string with the settings pinned and a bounded wait for the server."""
    parameters: dict[str, Any] = dict(conninfo_to_dict(url))
    options = " ".join(f"-c {name}={value}" for name, value in {**_SETTINGS, **settings}.items())
    parameters["options"] = f"{parameters.get('options') or ''} {options}".strip()
    return make_conninfo("", **{**_LINK, **parameters})


def patient(url: str) -> str:
    """As ``pinned``, with a bounded wait for tables that others keep to themselves."""
    return pinned(url, lock_timeout=f"{LOCK_WAIT_SECONDS}s")


def connect(url: str) -> Connection[Any]:
    """Open an ordinary session, every statement its own transaction.

    Its statements raise ``SourceUnreachableError`` when the connection breaks or the server falls silent.

    Raises:
        SourceUnreachableError: no server answers, or it refuses the credentials.
    """
    return _opened(url, patient(url))


def connect_replication(url: str, **settings: str) -> Connection[Any]:
    """Open a session that speaks the replication protocol (54.4 "Streaming Replication Protocol").

    ``settings`` are further ones of the session's; the rest is as with ``connect``.

    Raises:
        SourceUnreachableError: no server answers, or it refuses the credentials.
    """
    return _opened(url, make_conninfo(pinned(url, **settings), replication="database"))


def _opened(url: str, conninfo: str) -> _Session:
    try:
        session = _Session.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        raise unreachable(url, error) from error
    session.url = url
    session.pid = session.info.backend_pid
    return session


def _works(url: str, pid: int) -> bool:
    """Whether a server process of ours is at work, not waiting for its client (27.2.3 "pg_stat_activity")."""
    with _opened(url, pinned(url)) as session:
        session.pid = None  # this one is not asked about in its turn
        row = session.execute(
            "select state = 'active' and coalesce(wait_event_type, '') not in ('Client', 'Activity')"
            " from pg_catalog.pg_stat_activity where pid = %s",
            (pid,),
        ).fetchone()
    return row is not None and bool(row[0])


def ended_the_session(sqlstate: str | None) -> bool:
    """Whether an error is one of the connection, or of a server that shuts down (appendix A)."""
    return (sqlstate or "").startswith(("08", "57P"))


def waited_for_a_lock(sqlstate: str | None) -> bool:
    """Whether ``lock_timeout`` ended the wait (appendix A)."""
    return sqlstate == "55P03"


def locked(reason: object) -> SourceLockedError:
    """The error for a table that cannot be had; the server does not say by whom it is held."""
    return SourceLockedError(
        f"Another session keeps a table of the source to itself ({one_line(reason)}); pg_locks tells which. Let it "
        "end, or end it with select pg_terminate_backend(PID); then run it again."
    )


def unreachable(url: str, error: Exception) -> SourceUnreachableError:
    """The error for a source that cannot be reached, with its address and never its password."""
    return SourceUnreachableError(
        f"The source at {_place(url)} cannot be reached as {conninfo_to_dict(url).get('user', 'the current user')}: "
        f"{str(error).strip()}. Start it with dvd-rental up, or correct DVD_RENTAL_SOURCE_URL."
    )


def broken(url: str, reason: object) -> SourceUnreachableError:
    """The error for a connection that was there, and is no more."""
    text = one_line(reason)
    return SourceUnreachableError(f"The connection to the source at {_place(url)} broke: {text}. {RESUME}")


def server_ports(url: str) -> set[str]:
    """The ports at which the connection string, or libpq's environment, has the server or the servers listen."""
    usual = next(option.val or b"" for option in pq.Conninfo.get_defaults() if option.keyword == b"port")
    return set(str(conninfo_to_dict(url).get("port") or usual.decode()).split(","))


def _place(url: str) -> str:
    parameters = conninfo_to_dict(url)
    return f"{parameters.get('host', 'localhost')}:{parameters.get('port', 5432)}/{parameters.get('dbname', '')}"
