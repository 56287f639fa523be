"""Every test here runs once for each destination."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from emulation import Emulator
from psycopg import sql
from replica import STREAMS, TABLES
from stores import FURTHER, LONG, Carried, DuckDBStore, JsonStore, PostgresStore, SnowflakeStore, Store

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication.destinations.snowflake_session import SnowflakeSession
from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.server import EmbeddedServer

ROWS = (
    "insert into item select i, 'item ' || i, i * 1.5, null from generate_series(1, 20) as i",
    "insert into place select i, -i, 'place ' || i from generate_series(1, 5) as i",
)


@pytest.fixture
def postgres_store(server: EmbeddedServer) -> Iterator[PostgresStore]:
    """A database beside the source's."""
    name = f"warehouse_{uuid.uuid4().hex}"
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template template0 strategy file_copy").format(sql.Identifier(name))
        )
        yield PostgresStore(server.url(name, SUPERUSER))
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def snowflake_store(emulator: Emulator) -> SnowflakeStore:
    """A database of the emulator's, which ends with it."""
    return SnowflakeStore(emulator.port, f"WAREHOUSE_{uuid.uuid4().hex.upper()}")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that goes to Snowflake, in order."""
    statements: list[str] = []
    for name in ("execute", "ask", "put"):
        real = getattr(SnowflakeSession, name)

        def note(session: SnowflakeSession, statement: str, *rest: Any, real: Callable[..., Any] = real) -> Any:
            statements.append(statement)
            return real(session, statement, *rest)

        monkeypatch.setattr(SnowflakeSession, name, note)
    return statements


@pytest.fixture
def json_store(tmp_path: Path) -> JsonStore:
    """A folder of the test's own."""
    return JsonStore(tmp_path / "json")


# JSON lines are written from the tables that ``duckdb`` tests; what happens in these alone is not tested twice.
IN_TABLES_ALONE = {
    "test_a_toasted_value_that_did_not_change_is_kept",
    "test_a_stream_that_comes_into_another_mode_has_its_rows_and_versions",
    "test_rows_without_a_key_are_counted",
}


@pytest.fixture(params=["duckdb", *FURTHER])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "duckdb":
        return DuckDBStore(tmp_path / "warehouse.duckdb")
    if request.param == "json" and request.node.originalname in IN_TABLES_ALONE and not LONG:
        pytest.skip("tested by duckdb; with DVD_RENTAL_TEST_LONG=1 by json too")
    named: Store = request.getfixturevalue(f"{request.param}_store")
    return named


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
