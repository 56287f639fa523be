"""One generated database for all tests that only read it, and how to compare databases."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from dvd_rental_dagster.catalog import STREAMS
from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.generator import generate
from dvd_rental_dagster.source.server import EmbeddedServer

SEED = 1


@pytest.fixture(scope="session")
def generated_url(server: EmbeddedServer) -> str:
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute("create database generated template template0")
    url = server.url("generated", SUPERUSER)
    generate(url, scale=1, seed=SEED)
    return url


@pytest.fixture
def generated(generated_url: str) -> Iterator[Connection[Any]]:
    """A session that only reads the database of scale 1."""
    with psycopg.connect(generated_url) as connection:
        connection.execute("set transaction read only")
        yield connection


@pytest.fixture
def digests() -> Callable[[str], dict[str, str]]:
    """What sums up each table of a database, but for ``film.fulltext``, which depends on PostgreSQL's dictionaries."""

    def digests(url: str) -> dict[str, str]:
        with psycopg.connect(url) as connection:
            connection.execute("set transaction read only")
            connection.execute("set local timezone = 'UTC'")
            return {stream.name: _digest(connection, stream.name, stream.primary_key) for stream in STREAMS}

    return digests


def _digest(connection: Connection[Any], table: str, key: tuple[str, ...]) -> str:
    columns = [
        name
        for (name,) in connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and attname <> 'fulltext'"
            " order by attnum",
            (table,),
        )
    ]
    query = sql.SQL("copy (select {} from {} order by {}) to stdout").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, key)),
    )
    digest = sha256()
    with connection.cursor().copy(query) as rows:
        for data in rows:
            digest.update(data)
    return digest.hexdigest()
