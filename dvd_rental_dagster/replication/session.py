"""Connections to the source whose settings no role, database or server default can change.

The text of a value depends on them (PostgreSQL documentation, 19.11.2 "Locale and Formatting"), that of a ``regclass``
and its like on the search path as well. What is not the system's own is therefore named with its schema.
"""

from typing import Any

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dvd_rental_dagster.errors import SourceUnreachableError

_SETTINGS = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmloption": "content",
    "client_encoding": "UTF8",
    "lc_monetary": "C",
    "search_path": "pg_catalog",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
_CONNECT_TIMEOUT_SECONDS = 10


def pinned(url: str, **settings: str) -> str:
    """The connection string with the settings pinned and a bounded wait for the server."""
    parameters: dict[str, Any] = dict(conninfo_to_dict(url))
    options = " ".join(f"-c {name}={value}" for name, value in {**_SETTINGS, **settings}.items())
    parameters["options"] = f"{parameters.get('options') or ''} {options}".strip()
    parameters.setdefault("connect_timeout", str(_CONNECT_TIMEOUT_SECONDS))
    parameters.setdefault("application_name", "dvd-rental")
    return make_conninfo("", **parameters)


def connect(url: str) -> Connection[Any]:
    """Open an ordinary session, every statement its own transaction.

    Raises:
        SourceUnreachableError: no server answers, or it refuses the credentials.
    """
    try:
        return psycopg.connect(pinned(url), autocommit=True)
    except psycopg.OperationalError as error:
        raise unreachable(url, error) from error


def connect_replication(url: str, **settings: str) -> Connection[Any]:
    """Open a session that speaks the replication protocol (54.4 "Streaming Replication Protocol").

    ``settings`` are further ones of the session's.

    Raises:
        SourceUnreachableError: no server answers, or it refuses the credentials.
    """
    try:
        return psycopg.connect(pinned(url, **settings), autocommit=True, replication="database")
    except psycopg.OperationalError as error:
        raise unreachable(url, error) from error


def unreachable(url: str, error: psycopg.Error) -> SourceUnreachableError:
    """The error for a source that cannot be reached, with its address and never its password."""
    parameters = conninfo_to_dict(url)
    place = f"{parameters.get('host', 'localhost')}:{parameters.get('port', 5432)}/{parameters.get('dbname', '')}"
    return SourceUnreachableError(
        f"The source at {place} cannot be reached as {parameters.get('user', 'the current user')}: "
        f"{str(error).strip()}. Start it with dvd-rental up, or correct DVD_RENTAL_SOURCE_URL."
    )
