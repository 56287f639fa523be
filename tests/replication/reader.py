"""A database of any kind, discovered and prepared for a role that may do nothing but read it."""

from pathlib import Path

import psycopg
from replica import PUBLICATION, Replica

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication.discovery import Discovery, discover
from dvd_rental_dagster.source.capture import Capture
from dvd_rental_dagster.source.connection_string import database_of, with_role
from dvd_rental_dagster.source.preparation import prepare


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def found(url: str, *schemas: str, known: tuple[Stream, ...] = ()) -> Discovery:
    with psycopg.connect(url, autocommit=True) as connection:
        return discover(connection, schemas, known)


def capture_of(url: str, streams: tuple[Stream, ...]) -> Capture:
    """Names of the database's own: roles and slots belong to the whole server."""
    name = database_of(url)
    return Capture(f"reader_{name}", "s3cret", PUBLICATION, name, streams=streams)


def prepared(url: str, streams: tuple[Stream, ...]) -> list[str]:
    """Prepare the source; the names of the steps that changed something."""
    with psycopg.connect(url, autocommit=True) as connection:
        return [step.name for step in prepare(connection, capture_of(url, streams)) if step.changed]


def replica_of(url: str, streams: tuple[Stream, ...], folder: Path) -> Replica:
    """A prepared source and its warehouse, synced by the role that may do nothing but read."""
    prepared(url, streams)
    capture = capture_of(url, streams)
    return Replica(with_role(url, capture.role, capture.password), folder / "warehouse.duckdb", streams, capture.slot)
