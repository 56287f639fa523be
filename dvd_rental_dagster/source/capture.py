"""What change data capture asks of a source, and how its steps look at a database and change it."""

from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import Connection, sql

from dvd_rental_dagster.catalog import STREAMS, Stream
from dvd_rental_dagster.errors import PreparationError


@dataclass(frozen=True)
class Capture:
    """What the source is to be prepared for.

    ``may_set_password`` allows to give a role that exists another password. ``full_identity`` is explained in
    ``identity``.
    """

    role: str
    password: str = field(repr=False)
    publication: str
    slot: str
    may_set_password: bool = True
    full_identity: bool = True
    streams: tuple[Stream, ...] = STREAMS

    @property
    def schemas(self) -> list[str]:
        """The schemas that the streams' tables are in, each once."""
        return sorted({stream.namespace for stream in self.streams})

    @property
    def places(self) -> dict[str, list[str]]:
        """The streams' tables as parameters of a query: ``schemas`` and ``tables``, side by side."""
        places = [stream.source_table for stream in self.streams]
        return {"schemas": [schema for schema, _ in places], "tables": [table for _, table in places]}


@dataclass(frozen=True)
class Step:
    """One thing that change data capture needs: what was found or made, and whether anything was changed for it."""

    name: str
    detail: str
    changed: bool = False


def identifier(stream: Stream) -> sql.Identifier:
    """The stream's table in a statement."""
    return sql.Identifier(*stream.source_table)


def one_row(connection: Connection[Any], query: str, parameters: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """The one row of a query that always has one."""
    row: tuple[Any, ...] | None = connection.execute(query, parameters).fetchone()
    if row is None:
        raise PreparationError(f"The source answered nothing to: {query}")
    return row


def change(connection: Connection[Any], statement: sql.Composed) -> None:
    """Run a statement that changes the source.

    Raises:
        PreparationError: the connection's role may not; the message holds the statement for somebody who may.
    """
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        raise PreparationError(
            f"The role {connection.info.user} may not prepare the source: {error.diag.message_primary}. "
            f"Let the owner of the database, or a superuser, run: {statement.as_string(connection)};"
        ) from error


def is_rds(connection: Connection[Any]) -> bool:
    """Whether the server is Amazon's, where a membership stands for the attribute ``replication``."""
    return bool(one_row(connection, "select count(*) from pg_roles where rolname = 'rds_replication'")[0])
