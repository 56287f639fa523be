"""One database takes the place of another, whole or not at all.

The new database is built under another name and renamed when it is complete, so whoever looks finds the old one or the
new one. The old one goes with its replication slots: they decode a log that nobody can use any more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection, sql

from dvd_rental_dagster.errors import SourceError
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.source.connection_string import database_of, with_database

_INCOMING = "incoming"
_REPLACED = "replaced"
_RENAME_ATTEMPTS = 5
_TERMINATION_MILLISECONDS = 10_000


def replace_database(url: str, build: Callable[[str], None], *, keep_existing: bool = False) -> bool:
    """Build a new database and give it the name that ``url`` says; whether it was built.

    ``build`` gets the URL of an empty database. When it fails, the database that stood before stays as it is. With
    ``keep_existing`` nothing is built where a database of that name exists. One replacement goes on at a time.

    Raises:
        SourceError: the role may not create databases, or somebody does not let go of the old one.
    """
    name = database_of(url)
    incoming = f"{name}_{_INCOMING}"
    with _maintenance(url) as maintenance:
        tidy(maintenance, name)
        if keep_existing and _exists(maintenance, name):
            return False
        maintenance.execute(
            sql.SQL("create database {} template template0 encoding 'UTF8'").format(sql.Identifier(incoming))
        )
        try:
            build(with_database(url, incoming))
        except BaseException:
            _drop(maintenance, incoming)
            raise
        _swap(maintenance, name, incoming)
        _drop(maintenance, f"{name}_{_REPLACED}")
        return True


def is_whole(url: str) -> bool:
    """Whether the database of ``url`` exists and no replacement of it is unfinished."""
    name = database_of(url)
    with connect(with_database(url, _beside(name))) as maintenance:
        return _exists(maintenance, name) and not _exists(maintenance, f"{name}_{_REPLACED}")


def tidy(maintenance: Connection[Any], name: str) -> None:
    """Drop what an interrupted replacement left beside the database ``name``."""
    for leftover in (f"{name}_{_INCOMING}", f"{name}_{_REPLACED}"):
        _drop(maintenance, leftover)


@contextmanager
def _maintenance(url: str) -> Iterator[Connection[Any]]:
    """A connection beside the database, alone with the right to replace it."""
    name = database_of(url)
    with connect(with_database(url, _beside(name))) as connection:
        connection.execute("select pg_advisory_lock(hashtext(%s))", (f"replace {name}",))
        try:
            yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            role = connection.info.user
            raise SourceError(
                f"The role {role} may not replace the database {name}: {error.diag.message_primary}. "
                f"As a superuser: alter role {role} createdb; grant pg_signal_backend to {role};"
            ) from error


def _beside(name: str) -> str:
    return "postgres" if name != "postgres" else "template1"


def _exists(maintenance: Connection[Any], name: str) -> bool:
    return maintenance.execute("select 1 from pg_database where datname = %s", (name,)).fetchone() is not None


def _swap(maintenance: Connection[Any], name: str, incoming: str) -> None:
    """Rename both databases in one transaction; a rename waits 5 s for sessions and holds off new ones."""
    renames = [(incoming, name)]
    if _exists(maintenance, name):
        renames.insert(0, (name, f"{name}_{_REPLACED}"))
    for attempt in range(_RENAME_ATTEMPTS):
        try:
            with maintenance.transaction():
                for old, new in renames:
                    _end_sessions(maintenance, old)
                    maintenance.execute(
                        sql.SQL("alter database {} rename to {}").format(sql.Identifier(old), sql.Identifier(new))
                    )
        except psycopg.errors.ObjectInUse as error:
            if attempt == _RENAME_ATTEMPTS - 1:
                _drop(maintenance, incoming)
                raise SourceError(
                    f"The database {name} was not replaced: somebody keeps connecting to it. Stop what reads it."
                ) from error
        else:
            return


def _end_sessions(maintenance: Connection[Any], name: str) -> None:
    maintenance.execute(
        """
        select pg_terminate_backend(pid, %s)
        from pg_stat_activity
        where datname = %s and coalesce(backend_type, '') not in ('autovacuum worker', 'parallel worker')
        """,
        (_TERMINATION_MILLISECONDS, name),
    )


def _drop(maintenance: Connection[Any], name: str) -> None:
    if not _exists(maintenance, name):
        return
    _end_sessions(maintenance, name)
    maintenance.execute(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s", (name,)
    )
    maintenance.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
