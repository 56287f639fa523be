"""Replicas of small databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from reader import run
from replica import STREAMS, TABLES, Replica
from shop import TABLES as SHOP

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication import packed_columns
from dvd_rental_dagster.source.cluster import OWNER
from dvd_rental_dagster.source.connection_string import database_of
from dvd_rental_dagster.source.server import EmbeddedServer


@pytest.fixture
def make_replica(database: str, tmp_path: Path) -> Callable[..., Replica]:
    """Makes tables from statements, and a replica that has not been synced yet."""

    def make(tables: str = TABLES, streams: tuple[Stream, ...] = STREAMS) -> Replica:
        with psycopg.connect(database) as connection:
            connection.execute(tables)
        replica = Replica(database, tmp_path / "warehouse.duckdb", streams)
        replica.prepare()
        return replica

    return make


@pytest.fixture
def replica(make_replica: Callable[..., Replica]) -> Replica:
    """A loaded replica of a few rows."""
    made = make_replica()
    made.execute(
        "insert into item select i, 'item ' || i, i * 1.5, null from generate_series(1, 20) as i",
        "insert into place select i, -i, 'place ' || i from generate_series(1, 5) as i",
    )
    made.sync()
    return made


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of facts that are read a block at a time, as if they were large."""
    monkeypatch.setattr(packed_columns, "_RANGE_BYTES", 8192)
    monkeypatch.setattr(packed_columns, "_FEWEST_BLOCKS", 1)


@pytest.fixture
def restarted(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The worker's server, which runs again afterwards."""
    yield server
    server.ensure_running()


@pytest.fixture
def shop(server: EmbeddedServer, database: str) -> str:
    """The owner's URL of a database that is no DVD Rental, without rows."""
    url = server.url(database_of(database), OWNER)
    run(url, SHOP)
    return url
