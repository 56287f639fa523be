"""Measure the embedded engine against what the server itself can send.

``make bench`` starts a PostgreSQL of its own, and prints each figure as a rate and as a ratio to its yardstick,
measured in turn in the same run: a full load against ``COPY``, a backlog of changes against ``pg_recvlogical``.
"""

import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import psycopg

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication import sync
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination
from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.server import EmbeddedServer

ROWS = 2_000_000
CHANGES = 300_000
ROUNDS = 3
STREAMS = (Stream("payment", ("payment_id",)),)
TABLE = """
    create table payment (
        payment_id integer primary key, customer_id smallint, staff_id smallint, rental_id integer,
        amount numeric(5, 2), payment_date timestamp
    );
    insert into payment
    select i, i % 599, 1 + i % 2, i, (i % 1000) / 100.0, timestamp '2024-01-01' + i * interval '1 second'
    from generate_series(1, 2000000) as i;
    create publication bench for table payment;
"""


class Bench:
    """One server, one table, one warehouse."""

    def __init__(self, server: EmbeddedServer, folder: Path) -> None:
        self._server = server
        self._warehouse = folder / "warehouse.duckdb"
        self._url = server.url("postgres", SUPERUSER, local=True)
        self._connection = psycopg.connect(self._url, autocommit=True)
        self._connection.execute(TABLE)

    def snapshots(self) -> None:
        """Full load of raw and history, against COPY to nowhere."""
        copies, loads = [], []
        for _ in range(ROUNDS):
            copies.append(self._timed(self._copy))
            self._slot("engine")
            self._warehouse.unlink(missing_ok=True)
            loads.append(self._timed(self._sync))
        report("full load", ROWS, loads, "COPY (format binary)", copies)

    def backlogs(self) -> None:
        """Inserts in transactions of several sizes, against pg_recvlogical to nowhere."""
        for size in (1, 10, 1000):
            receives, syncs = [], []
            for _ in range(ROUNDS):
                self._slot("yardstick")
                self._insert(size)
                receives.append(self._timed(self._receive))
                syncs.append(self._timed(self._sync))
            report(f"inserts, {size} a transaction", CHANGES, syncs, "pg_recvlogical", receives)

    def idle(self) -> None:
        """A sync with nothing to do."""
        seconds = [self._timed(self._sync) for _ in range(ROUNDS)]
        sys.stdout.write(f"{'nothing to do':<28}{statistics.median(seconds):>10.3f} s\n")

    def _slot(self, name: str) -> None:
        if self._connection.execute("select 1 from pg_replication_slots where slot_name = %s", (name,)).fetchone():
            self._connection.execute("select pg_drop_replication_slot(%s)", (name,))
        self._connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (name,))

    def _copy(self) -> None:
        copying = "copy payment to stdout (format binary)"
        with psycopg.connect(self._url) as connection, connection.cursor() as cursor, cursor.copy(copying) as copy:
            for _ in copy:
                pass

    def _insert(self, size: int) -> None:
        self._connection.execute(
            f"""
            do $$
            declare first integer := (select max(payment_id) from payment);
            begin
                for batch in 0 .. {CHANGES // size} - 1 loop
                    insert into payment
                    select first + batch * {size} + i, i % 599, 1, i, 1.23, timestamp '2026-01-01'
                    from generate_series(1, {size}) as i;
                    commit;
                end loop;
            end $$
            """
        )

    def _receive(self) -> None:
        row = self._connection.execute("select pg_current_wal_flush_lsn()::text").fetchone()
        end = row[0] if row else ""
        command = [
            self._server.binaries.program("pg_recvlogical"), "-d", self._url, "--slot", "yardstick", "--start",
            "--endpos", end, "-o", "proto_version=1", "-o", "publication_names=bench", "-f", "/dev/null", "--no-loop",
        ]  # fmt: skip
        subprocess.run(command, check=True)

    def _sync(self) -> None:
        sync(self._url, DuckDBDestination(self._warehouse), STREAMS, publication="bench", slot="engine")

    @staticmethod
    def _timed(call: Callable[[], None]) -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started


def report(what: str, rows: int, seconds: list[float], yardstick: str, its_seconds: list[float]) -> None:
    """One line: the median rate, the yardstick's, and the ratio of the two."""
    rate, its_rate = rows / statistics.median(seconds), rows / statistics.median(its_seconds)
    sys.stdout.write(
        f"{what:<28}{rate:>10,.0f} rows/s   {yardstick:<22}{its_rate:>10,.0f} rows/s   ratio {rate / its_rate:.2f}\n"
    )


def main() -> None:
    """Run everything."""
    sys.stdout.write(
        f"{platform.machine()}, Python {platform.python_version()}, DuckDB {duckdb.__version__}, "
        f"psycopg {psycopg.__version__}; medians of {ROUNDS} rounds\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder) / "postgres")
        server.ensure_running()
        try:
            bench = Bench(server, Path(folder))
            bench.snapshots()
            bench.backlogs()
            bench.idle()
        finally:
            server.remove()


if __name__ == "__main__":
    main()
