"""Source columns as a PostgreSQL warehouse's types; values go there as the texts that the source writes.

A type's name here is what ``format_type`` calls it, so that the warehouse's catalog can be compared with it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication.column import Column, Kind
from dvd_rental_dagster.replication.table import unfit_value

_TYPES: dict[Kind, str] = {
    Kind.SMALLINT: "smallint",
    Kind.INTEGER: "integer",
    Kind.BIGINT: "bigint",
    Kind.REAL: "real",
    Kind.DOUBLE: "double precision",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "text",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamp without time zone",
    Kind.TIMESTAMPTZ: "timestamp with time zone",
    Kind.TIME: "time without time zone",
    Kind.UUID: "uuid",
    Kind.BYTES: "bytea",
    Kind.JSON: "json",
    Kind.ARRAY: "jsonb",
}
_EXACT_NUMBERS = ("smallint", "integer", "bigint", "numeric")
_NUMERIC = re.compile(r"numeric(\(\d+,\d+\))?")
_DAY = 86_400_000_000


def column_type(column: Column) -> str:
    """The warehouse's type for a source column: the source's own where any server has it, else text."""
    if column.kind is Kind.DECIMAL:
        return f"numeric({column.precision},{column.scale})"
    if column.pg_type == "numeric" and column.kind is Kind.TEXT:
        return "numeric"
    return "jsonb" if column.pg_type == "jsonb" else _TYPES[column.kind]


def common_type(first: str, second: str) -> str:
    """The smallest type that holds the values of both as they are; text where no other does."""
    if first == second:
        return first
    exact = ["numeric" if _NUMERIC.fullmatch(name) else name for name in (first, second)]
    if all(name in _EXACT_NUMBERS for name in exact):
        return max(exact, key=_EXACT_NUMBERS.index)
    return "text"


def type_name(name: str) -> sql.SQL:
    """A type's name in a statement."""
    return sql.SQL(name)


def instant(microseconds: sql.Composable, data_type: str = "timestamp with time zone") -> sql.Composed:
    """The timestamp so many microseconds after 1970.

    The ends of 64 bits are infinities, as ``timestamps.py`` has them. Days are added apart, for an interval is
    multiplied in floating point.
    """
    return sql.SQL(
        "case {value} when 9223372036854775807 then {type} 'infinity' when -9223372036854775807 then {type} '-infinity'"
        " else {type} 'epoch' + ({value} / {day})::int4 * interval '1 day'"
        " + ({value} % {day}) * interval '1 microsecond' end"
    ).format(value=microseconds, type=type_name(data_type), day=sql.Literal(_DAY))


@contextmanager
def refusing_unfit_values(stream: Stream) -> Iterator[None]:
    """Name the stream and the remedy when the source has a value that the warehouse's type has not.

    Between servers of one version there is none, if the warehouse's encoding is UTF-8; another may lack some.

    Raises:
        StreamTableError: there is such a value; the message has the server's words for it.
    """
    try:
        yield
    except psycopg.DataError as error:
        column = re.search(r"column (\S+)", error.diag.context or "")
        named = f"{column[1].rstrip(':,')} holds a value: " if column else ""
        raise unfit_value(stream, f"{named}{error.diag.message_primary}") from error
