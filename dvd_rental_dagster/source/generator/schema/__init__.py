"""The schema of DVD Rental in SQL: what the rows need, and what is built faster once they are there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg import Connection

_FOLDER = Path(__file__).parent


def create_tables(connection: Connection[Any]) -> None:
    """Create types, sequences, tables, functions, views and triggers in the first schema of the search path."""
    for name in ("tables", "functions", "views", "triggers"):
        connection.execute((_FOLDER / f"{name}.sql").read_bytes())


def create_keys(connection: Connection[Any]) -> Iterator[tuple[int, int]]:
    """Create primary keys, indexes and foreign keys; yield after each how many there are, and of how many."""
    statements = (_FOLDER / "keys.sql").read_bytes().split(b";\n")[:-1]
    for number, statement in enumerate(statements, start=1):
        connection.execute(statement)
        yield number, len(statements)


def create_schema(connection: Connection[Any]) -> None:
    """Create all of it, without rows."""
    create_tables(connection)
    for _ in create_keys(connection):
        pass
