"""Questions to the account, through connections that somebody opens: this package, or a resource of Dagster's."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dvd_rental_dagster.errors import SnowflakeError
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.snowflake.account import connect, in_one_line, place

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_NOT_THERE = frozenset({2003, 2043})
"""Snowflake's numbers of "does not exist or not authorized"."""

Open = Callable[[], AbstractContextManager[Any]]
"""Opens a connection of Snowflake's connector, in the database that the models are built in."""


class Session:
    """An open connection that is asked for rows."""

    def __init__(self, connection: "SnowflakeConnection") -> None:
        self._connection = connection

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Names of the columns and the rows; a name that needs no quotes is lower case, as on the other warehouses.

        Raises:
            SnowflakeError: the query is refused; the message is Snowflake's.
        """
        with _telling(query), self._connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            names = tuple(
                column.name.lower() if column.name.isupper() else column.name for column in cursor.description
            )
            return names, [tuple(row) for row in cursor.fetchall()]

    def batches(self, query: str) -> Iterator[pa.Table]:
        """The rows by parts, none where there are no rows.

        Raises:
            SnowflakeError: the query is refused; the message is Snowflake's.
        """
        with _telling(query), self._connection.cursor() as cursor:
            cursor.execute(query)
            yield from cursor.fetch_arrow_batches()


def own_connections(settings: Settings) -> Open:
    """Connections under the settings' role, in their virtual warehouse and database."""
    return partial(connect, settings, **place(settings))


@contextmanager
def session(open_connection: Open) -> Iterator[Session]:
    """Ask questions through one connection.

    Raises:
        SettingsError: the extra is not installed, or a setting is missing.
        SnowflakeError: the account cannot be reached, or refuses the user.
    """
    with open_connection() as connection:
        yield Session(connection)


@contextmanager
def _telling(query: str) -> Iterator[None]:
    from snowflake.connector import Error  # noqa: PLC0415  # who has a connection has paid for it

    try:
        yield
    except Error as error:
        advice = (
            " Build the models with dvd-rental run, and see that the role of DVD_RENTAL_SNOWFLAKE_ROLE has the rights "
            "that dvd-rental snowflake bootstrap gives."
        )
        raise SnowflakeError(
            f"Snowflake refused `{' '.join(query.split())}`: {in_one_line(error)}"
            f"{advice if error.errno in _NOT_THERE else ''}"
        ) from error
