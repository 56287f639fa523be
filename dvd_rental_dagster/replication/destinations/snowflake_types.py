"""Source columns as Snowflake's types, and how their texts are written, read and compared there.

A type's name here is what ``information_schema.columns`` makes of it, so that the warehouse's catalog can be compared.
Everything is staged as text, from snapshot and log in one form, and read by the type it is stored in.
"""

import re
import string

import pyarrow as pa
import pyarrow.compute as pc

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication.column import Column, Kind
from dvd_rental_dagster.replication.table import unfit_value

INTEGER = "number(38,0)"
TEXT = "varchar"
INSTANT = "timestamp_tz"
JSON = "variant"

_TYPES: dict[Kind, str] = {
    Kind.SMALLINT: INTEGER,
    Kind.INTEGER: INTEGER,
    Kind.BIGINT: INTEGER,
    Kind.REAL: "float",
    Kind.DOUBLE: "float",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: TEXT,
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamp_ntz",
    Kind.TIMESTAMPTZ: INSTANT,
    Kind.TIME: "time",
    Kind.UUID: TEXT,
    Kind.BYTES: "binary",
    Kind.JSON: JSON,
    Kind.ARRAY: JSON,
}
_NUMBER = re.compile(r"number\((\d+),(\d+)\)")
_MAX_PRECISION = 38
_MAX_SCALE = 37
_FOLDING = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_FIT: dict[Kind, str] = {
    Kind.DECIMAL: r"^-?\d",
    Kind.DATE: r"^\d{4}-\d\d-\d\d$",
    Kind.TIMESTAMP: r"^\d{4}-[^ ]* [^ ]*$",
    Kind.TIMESTAMPTZ: r"^\d{4}-[^ ]* [^ ]*$",
    Kind.TIME: r"^([01]\d|2[0-3]):",
}
"""What texts of a kind look like that Snowflake has a value for: years from 1 to 9999, numbers, and times of a day
(Snowflake's documentation, "Date & time data types").
"""
_SHOWN_CHARACTERS = 60
_TEXTS = pa.large_string()
_MICROSECONDS_OF_YEARS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
_TIMESTAMPS = frozenset({Kind.TIMESTAMP, Kind.TIMESTAMPTZ})


def folded(name: str) -> str:
    """A name as Snowflake has it: the letters that a name without quotes can have are upper case."""
    return name.translate(_FOLDING)


def quoted(name: str) -> str:
    """A folded identifier as Snowflake reads it literally."""
    return '"' + folded(name).replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string in a statement; a backslash escapes there too."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def column_type(column: Column) -> str:
    """Snowflake's type for a source column."""
    if column.kind is Kind.DECIMAL and column.scale > _MAX_SCALE:
        return TEXT
    if column.kind is Kind.DECIMAL:
        return f"number({column.precision},{column.scale})"
    return _TYPES[column.kind]


def common_type(first: str, second: str) -> str:
    """The smallest type that holds the values of both as they are; text where no other does."""
    one, other = _NUMBER.fullmatch(first), _NUMBER.fullmatch(second)
    if first == second or not one or not other:
        return first if first == second else TEXT
    scale = max(int(one[2]), int(other[2]))
    precision = max(int(number[1]) - int(number[2]) for number in (one, other)) + scale
    return f"number({precision},{scale})" if precision <= _MAX_PRECISION else TEXT


def widens_in_place(held: str, wanted: str) -> bool:
    """Whether a column of one type can become the other and keep its values: a number of more digits before the point.

    Snowflake's documentation, ALTER TABLE … ALTER COLUMN, "Usage notes".
    """
    one, other = _NUMBER.fullmatch(held), _NUMBER.fullmatch(wanted)
    return bool(one and other and one[2] == other[2] and int(one[1]) <= int(other[1]))


def read(text: str, data_type: str) -> str:
    """The expression that reads an expression's text, as ``staged`` writes it, as a value of the type."""
    match data_type:
        case "varchar":
            return text
        case "variant":
            return f"parse_json({text})"
        case "binary":
            return f"to_binary({text}, 'HEX')"
        case _:
            return f"{text}::{data_type}"


def written(value: str, data_type: str) -> str:
    """The expression for a value's text."""
    match data_type:
        case "varchar":
            return value
        case "variant":
            return f"to_json({value})"
        case _:
            return f"to_varchar({value})"


def converted(value: str, held: str, wanted: str) -> str:
    """The expression for a value of one type as one of another, which holds it."""
    if held == wanted:
        return value
    return written(value, held) if wanted == TEXT else f"{value}::{wanted}"


def comparable(value: str, data_type: str) -> str:
    """The expression for a text by which values of one type are the same or not; no text of a double is exact."""
    if data_type == "float":
        return f"iff({value} is null, null, to_varchar(hash({value})))"
    return written(value, data_type)


def staged(stream: Stream, column: Column, values: pa.Array) -> pa.Array:
    """A column's values, from snapshot or log, as the texts that ``read`` reads.

    Raises:
        StreamTableError: there is a value that Snowflake's type has not.
    """
    if pa.types.is_timestamp(values.type):
        values = _timestamps(stream, column, values.view(pa.int64()))
    texts = values.cast(_TEXTS)
    if column.kind in _FIT and column_type(column) != TEXT:
        _check(stream, column, texts, pc.match_substring_regex(texts, _FIT[column.kind]))
    match column.kind:
        case Kind.BYTES:
            return pc.utf8_slice_codeunits(texts, 2)
        case Kind.REAL | Kind.DOUBLE:
            return pc.replace_substring(pc.utf8_lower(texts), "infinity", "inf")
        case Kind.TIMESTAMPTZ:
            return pc.replace_substring_regex(texts, r"\+00$", "+00:00")
        case _:
            return texts


def instant(microseconds: int) -> str:
    """The expression for an instant given in microseconds since 1970."""
    return f"{literal(str(instants(pa.array([microseconds], pa.int64()))[0]))}::{INSTANT}"


def instants(microseconds: pa.Array) -> pa.Array:
    """The texts of instants given in microseconds since 1970."""
    texts = microseconds.view(pa.timestamp("us")).cast(_TEXTS)
    return pc.binary_join_element_wise(texts, pa.scalar("+00:00", _TEXTS), pa.scalar("", _TEXTS))


def _timestamps(stream: Stream, column: Column, microseconds: pa.Array) -> pa.Array:
    """The texts of a snapshot's timestamps."""
    first, last = _MICROSECONDS_OF_YEARS
    fit = pc.and_(pc.greater_equal(microseconds, first), pc.less_equal(microseconds, last))
    _check(stream, column, microseconds, fit)
    if column.kind is Kind.TIMESTAMPTZ:
        return instants(microseconds)
    return microseconds.view(pa.timestamp("us")).cast(_TEXTS)


def _check(stream: Stream, column: Column, values: pa.Array, fit: pa.Array) -> None:
    """Refuse values that are not fit; nulls are."""
    unfit = values.filter(pc.invert(fit))
    if not len(unfit):
        return
    found = str(unfit[0].as_py())
    if column.kind in _TIMESTAMPS and pa.types.is_integer(values.type):
        found = f"a timestamp before the year 1 or after 9999 ({found} microseconds since 1970)"
    raise unfit_value(stream, f"{column.name} holds {found[:_SHOWN_CHARACTERS]}")
