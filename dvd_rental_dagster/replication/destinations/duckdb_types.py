"""Source columns as DuckDB's types, and PostgreSQL's text as their values."""

import pyarrow as pa

from dvd_rental_dagster.replication.column import Column, Kind

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
    """The expression that turns PostgreSQL's text form into DuckDB's type."""
    target = column_type(column)
    match column.kind:
        case Kind.TEXT | Kind.ARRAY:
            return f"cast({value} as {target})"
        case Kind.BYTES:
            return f"unhex(substr({value}, 3))"
        case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ:
            dated = rf"regexp_replace({value}, '{_DROPPED_ERA}', '\1 (BC)\2')"
            return f"cast(case when suffix({value}, ' BC') then {dated} else {value} end as {target})"
        case _:
            return f"cast({value} as {target})"


def snapshot_value(column: Column, rows: pa.RecordBatchReader) -> str:
    """The expression for a column of a snapshot's rows, which come natively or as text."""
    if rows.schema.field(column.name).type == pa.string():
        return cast_from_text(column, quoted(column.name))
    return f"cast({quoted(column.name)} as {column_type(column)})"
