"""Source columns as DuckDB's types, and PostgreSQL's text as their values."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication.column import Column, Kind
from dvd_rental_dagster.replication.table import unfit_value

_TYPES: dict[Kind, str] = {
    Kind.SMALLINT: "smallint",
    Kind.INTEGER: "integer",
    Kind.BIGINT: "bigint",
    Kind.REAL: "real",
    Kind.DOUBLE: "double",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "varchar",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamp",
    Kind.TIMESTAMPTZ: "timestamptz",
    Kind.TIME: "time",
    Kind.UUID: "uuid",
    Kind.BYTES: "blob",
    Kind.JSON: "json",
    Kind.ARRAY: "json",
}
_WIDER_AT_THE_SOURCE = frozenset({Kind.DECIMAL, Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.JSON})
_UNFIT = "does not fit: "
_SHOWN_CHARACTERS = 60
_DROPPED_ERA = r"^(\d+-\d\d-\d\d)(.*) BC$"


def quoted(name: str) -> str:
    """An identifier as DuckDB reads it literally."""
    return '"' + name.replace('"', '""') + '"'


def column_type(column: Column) -> str:
    """DuckDB's type for a source column."""
    if column.kind is Kind.DECIMAL:
        return f"decimal({column.precision},{column.scale})"
    return _TYPES[column.kind]


def cast_from_text(column: Column, value: str) -> str:
    """The expression that turns PostgreSQL's text form into DuckDB's type.

    It fails where that type has no such value; ``refusing_unfit_values`` makes an error of ours of that.
    """
    match column.kind:
        case Kind.BYTES:
            return f"unhex(substr({value}, 3))"
        case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ:
            dated = rf"regexp_replace({value}, '{_DROPPED_ERA}', '\1 (BC)\2')"
            text = f"case when suffix({value}, ' BC') then {dated} else {value} end"
        case _:
            text = value
    if column.kind not in _WIDER_AT_THE_SOURCE:
        return f"cast({text} as {column_type(column)})"
    named = f"{_UNFIT}{column.name} holds ".replace("'", "''")
    refused = f"error('{named}' || left({value}, {_SHOWN_CHARACTERS}))"
    return f"coalesce(try_cast({text} as {column_type(column)}), case when {value} is not null then {refused} end)"


@contextmanager
def refusing_unfit_values(stream: Stream) -> Iterator[None]:
    """Name stream, column and remedy when the source has a value that DuckDB's type has not.

    These are ``NaN`` in a ``numeric`` with a precision, timestamps from the year 294247 on, and JSON of type ``json``
    with half of a surrogate pair; PostgreSQL takes them and DuckDB does not.

    Raises:
        StreamTableError: there is such a value.
    """
    try:
        yield
    except duckdb.InvalidInputException as error:
        _, unfit, found = str(error).partition(_UNFIT)
        if not unfit:
            raise
        raise unfit_value(stream, found) from error


def snapshot_value(column: Column, rows: pa.RecordBatchReader) -> str:
    """The expression for a column of a snapshot's rows, which come natively or as text."""
    if rows.schema.field(column.name).type == pa.string():
        return cast_from_text(column, quoted(column.name))
    return f"cast({quoted(column.name)} as {column_type(column)})"
