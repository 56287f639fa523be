"""Every test here runs once for each destination."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from replica import STREAMS, TABLES
from stores import Carried, DuckDBStore, Store

from dvd_rental_dagster.catalog import Stream

ROWS = (
    "insert into item select i, 'item ' || i, i * 1.5, null from generate_series(1, 20) as i",
    "insert into place select i, -i, 'place ' || i from generate_series(1, 5) as i",
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return DuckDBStore(tmp_path / "warehouse.duckdb")


@pytest.fixture
def carry(database: str, store: Store) -> Callable[..., Carried]:
    """Makes tables from statements, and a replica that has not been synced yet."""

    def make(tables: str = TABLES, streams: tuple[Stream, ...] = STREAMS, url: str = database) -> Carried:
        if tables:
            with psycopg.connect(url) as connection:
                connection.execute(tables)
        carried = Carried(url, Path(), streams, store=store)
        carried.prepare()
        return carried

    return make


@pytest.fixture
def carried(carry: Callable[..., Carried]) -> Carried:
    """A loaded replica of a few rows."""
    made = carry()
    made.execute(*ROWS)
    made.sync()
    return made
