"""What Airbyte has written into the warehouse."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from dvd_rental_dagster.errors import WarehouseError
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination, open_for_writing
from dvd_rental_dagster.replication.verification import Side
from dvd_rental_dagster.settings import Settings


class Arrived(Protocol):
    """The rows that Airbyte's destination writes, in whichever warehouse."""

    def columns(self, schema: str) -> dict[str, frozenset[str]]:
        """The columns of each stream's table in this schema, in lower case, by the stream's name.

        Raises:
            WarehouseError: a stream has no table there, or the warehouse cannot be read.
        """

    def side(self) -> AbstractContextManager[Side]:
        """The rows of ``raw``, to compare with the source's.

        Raises:
            WarehouseError: the warehouse cannot be read.
        """


class ArrivedInFile:
    """What is in the embedded warehouse's file; see ``Arrived``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def columns(self, schema: str) -> dict[str, frozenset[str]]:
        """See ``Arrived.columns``."""
        path = self._settings.duckdb_path
        with open_for_writing(path) as connection:
            found = connection.execute(
                "select lower(table_name), list(lower(column_name)) from duckdb_columns() where schema_name = ?"
                " group by table_name",
                [schema],
            ).fetchall()
        tables = {table: frozenset(columns) for table, columns in found}
        return by_stream(self._settings, tables, str(path), schema)

    def side(self) -> AbstractContextManager[Side]:
        """See ``Arrived.side``."""
        return DuckDBDestination(self._settings.duckdb_path)


def by_stream(
    settings: Settings, tables: Mapping[str, frozenset[str]], warehouse: str, schema: str
) -> dict[str, frozenset[str]]:
    """The columns that were found, by stream instead of by table, whose names are in lower case.

    Raises:
        WarehouseError: a stream has no table.
    """
    missing = [stream.name for stream in settings.streams if stream.name.lower() not in tables]
    if missing:
        raise WarehouseError(
            f"Airbyte's sync succeeded, but {warehouse} has no {schema}.{missing[0]}"
            f"{f' and lacks {len(missing) - 1} tables more' if missing[1:] else ''}. Let the destination of the "
            "connection write there, with the schemas raw and history."
        )
    return {stream.name: tables[stream.name.lower()] for stream in settings.streams}
