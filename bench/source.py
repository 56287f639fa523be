"""One database of the bench's server: its slots, and what the server says it sent through each."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, sql

from bench.child import Sample
from bench.process import BenchError
from dvd_rental_dagster.replication.lsn import format_lsn
from dvd_rental_dagster.replication.slot import flushed_lsn
from dvd_rental_dagster.source.capture import Capture
from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.preparation import prepare
from dvd_rental_dagster.source.server import EmbeddedServer

PUBLICATION = "bench"
_ROLE = "bench"
_PROTOCOL = "1"  # what the engine asks for


@dataclass(frozen=True)
class Decoded:
    """What the server decoded for a slot: transactions, and bytes of their changes."""

    transactions: int
    size: int


class Source:
    """A database with a publication of the fifteen tables."""

    def __init__(self, server: EmbeddedServer, name: str) -> None:
        self.name = name
        self._server = server

    @property
    def url(self) -> str:
        """The database as superuser, over the unix socket."""
        return self._server.url(self.name, SUPERUSER, local=True)

    @property
    def role_url(self) -> str:
        """The database as the role that the engine and its peers use, over the unix socket."""
        return self._server.url(self.name, _ROLE, local=True)

    @property
    def network_url(self) -> str:
        """The same over TCP, for what knows no unix socket."""
        return self._server.url(self.name, _ROLE)

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """A superuser's session; every statement its own transaction."""
        with closing(psycopg.connect(self.url, autocommit=True)) as connection:
            yield connection

    def prepare(self) -> None:
        """Make role, publication and slot as ``dvd-rental source prepare`` does.

        Nobody reads this slot, so that it keeps the log from here on for those that are copied from it.
        """
        with self.connection() as connection:
            prepare(connection, Capture(_ROLE, self._server.password(_ROLE), PUBLICATION, self._slot("origin")))

    @contextmanager
    def slot(self, whose: str) -> Iterator[str]:
        """The name of a slot for somebody, which stands where the database was prepared; gone afterwards."""
        name = self._slot(whose)
        with self.connection() as connection:
            connection.execute("select pg_copy_logical_replication_slot(%s, %s)", (self._slot("origin"), name))
            try:
                yield name
            finally:
                drop_slot(connection, name)

    def _slot(self, whose: str) -> str:
        return f"{self.name}_{whose}"

    def end_of_log(self) -> str:
        """Write out all that was changed, so that nobody measured pays for it, and return where the log ends."""
        with self.connection() as connection:
            connection.execute("checkpoint")
            return format_lsn(flushed_lsn(connection))

    def decoded(self, slot: str) -> Decoded:
        """The server's own count, of ``pg_stat_replication_slots``."""
        with self.connection() as connection:
            row = connection.execute(
                "select total_txns, total_bytes from pg_stat_replication_slots where slot_name = %s", (slot,)
            ).fetchone()
        if row is None:
            raise BenchError(f"The server has no figures of the slot {slot}. Run the bench again.")
        return Decoded(*row)

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        with self.connection() as connection:
            row = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()
        assert row is not None  # noqa: S101  # a count has one row
        return int(row[0])

    def receive(self, slot: str, start_lsn: str, end_lsn: str, changes: int) -> Sample:
        """Read the log from one place to another with ``pg_recvlogical``, to nowhere."""
        command = [
            self._server.binaries.program("pg_recvlogical"),
            *("--dbname", self.role_url, "--slot", slot, "--start", "--no-loop", "--file", "/dev/null"),
            *("--startpos", start_lsn, "--endpos", end_lsn),
            *("--option", f"proto_version={_PROTOCOL}", "--option", f"publication_names={PUBLICATION}"),
        ]
        return self._timed(command, changes)

    def copy(self, table: str, rows: int) -> Sample:
        """Read a table with ``COPY … (format binary)`` in one session of ``psql``, to nowhere."""
        statement = sql.SQL("copy {} to stdout (format binary)").format(sql.Identifier(table)).as_string()
        program = self._server.binaries.program("psql")
        return self._timed([program, "--no-psqlrc", "--quiet", "--command", statement, self.role_url], rows)

    @staticmethod
    def _timed(command: list[Any], rows: int) -> Sample:
        started = time.perf_counter()
        done = subprocess.run(
            command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            raise BenchError(f"{command[0]} failed: {done.stderr.decode(errors='replace').strip()}")
        return Sample(rows, seconds)


def drop_slot(connection: Connection[Any], name: str) -> None:
    """Drop the slot, ending whoever still reads it."""
    connection.execute(
        "select pg_terminate_backend(active_pid, 10000) from pg_replication_slots"
        " where slot_name = %s and active_pid is not null",
        (name,),
    )
    connection.execute("select pg_drop_replication_slot(%s)", (name,))
