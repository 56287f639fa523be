"""What every measure works in: sizes, a server of its own, its databases, and a folder that is gone afterwards."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from bench.source import Source
from dvd_rental_dagster.progress import silent
from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.generator import generate
from dvd_rental_dagster.source.server import EmbeddedServer

# Nobody's figures are to hold what the server does later for somebody before: no vacuum, and checkpoints when asked.
_OPTIONS = {"autovacuum": "off", "max_wal_size": "32GB", "checkpoint_timeout": "1d"}
_SEED = 1


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    ``table_scale`` is the scale whose payments are loaded, ``changes`` a backlog's length, ``transactions`` the inserts
    in each of its transactions, ``peer_rows`` what a slow peer reads at most, ``memory`` the lengths of backlogs whose
    memory is compared, ``scales`` those at which a hundred changes and ticks are compared, smallest first, ``syncs``
    the syncs of a round, ``ticks`` how many commits are followed to the report.
    """

    rounds: int = 3
    table_scale: int = 137
    changes: int = 1_000_000
    transactions: tuple[int, ...] = (1, 10, 1000)
    peer_rows: int = 200_000
    memory: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    scales: tuple[int, ...] = (1, 10, 100)
    syncs: int = 5
    ticks: int = 20


QUICK = Sizes(1, 1, changes=6_000, transactions=(10,), peer_rows=6_000, memory=(), scales=(1, 2), syncs=1, ticks=1)


class Lab:
    """Databases by scale, and copies of them to change.

    ``environments`` is where the peers' environments are; they are made when ``installs``.
    """

    def __init__(self, server: EmbeddedServer, folder: Path, sizes: Sizes, environments: Path, installs: bool) -> None:
        self.server = server
        self.folder = folder
        self.sizes = sizes
        self.environments = environments
        self.installs = installs
        self._sources: dict[int, Source] = {}
        self._started = time.monotonic()

    def say(self, what: str) -> None:
        """Tell on standard error what goes on."""
        sys.stderr.write(f"{time.monotonic() - self._started:6.0f} s  {what}\n")
        sys.stderr.flush()

    def source(self, scale: int) -> Source:
        """The generated database of a scale, which stays as it is."""
        if scale not in self._sources:
            self.say(f"generating a database of scale {scale}")
            source = Source(self.server, f"scale_{scale}")
            with self._maintenance() as maintenance:
                maintenance.execute(
                    sql.SQL("create database {} template template0").format(sql.Identifier(source.name))
                )
            generate(source.url, scale=scale, seed=_SEED, progress=silent)
            self._sources[scale] = source
        return self._sources[scale]

    @contextmanager
    def prepared(self, scale: int) -> Iterator[Source]:
        """A copy of that database, with role, publication and slot; gone afterwards."""
        template, copy = self.source(scale), Source(self.server, f"copy_{scale}")
        with self._maintenance() as maintenance:
            maintenance.execute(
                sql.SQL("create database {} template {} strategy file_copy").format(
                    sql.Identifier(copy.name), sql.Identifier(template.name)
                )
            )
            try:
                copy.prepare()
                yield copy
            finally:
                maintenance.execute(
                    "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s", (copy.name,)
                )
                maintenance.execute(
                    "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s",
                    (copy.name,),
                )
                maintenance.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(copy.name)))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for one measure's files."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)

    @contextmanager
    def _maintenance(self) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        with psycopg.connect(self.server.url("postgres", SUPERUSER, local=True), autocommit=True) as connection:
            yield connection


@contextmanager
def open_lab(sizes: Sizes, environments: Path, installs: bool) -> Iterator[Lab]:
    """Start a server in a new folder; both are gone afterwards, also after an interrupt."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        server = EmbeddedServer(Path(folder) / "postgres", max_slot_wal_keep_size="-1", options=_OPTIONS)
        try:
            server.ensure_running()
            yield Lab(server, Path(folder), sizes, environments, installs)
        finally:
            server.remove()
