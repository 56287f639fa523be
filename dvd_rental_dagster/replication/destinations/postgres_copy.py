"""Arrow columns into a PostgreSQL table by COPY, a batch at a time, whose lines are made column by column.

PostgreSQL documentation, COPY, "Text Format".
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection, sql

from dvd_rental_dagster.replication.destinations.postgres_types import type_name

_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_TEXT = pa.large_string()
_TEXTS = frozenset({pa.string(), pa.large_string(), pa.string_view()})


def copy_rows(
    connection: Connection[Any], name: str, types: Mapping[str, str], batches: Iterable[list[pa.Array]]
) -> None:
    """Make a temporary table with columns of these types, and fill it.

    Each batch has one array a column; texts are read by the type's input function, timestamps come as microseconds
    since 1970.
    """
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column), type_name(data_type)) for column, data_type in types.items()
    )
    connection.execute(sql.SQL("drop table if exists pg_temp.{}").format(sql.Identifier(name)))
    connection.execute(sql.SQL("create temporary table {} ({})").format(sql.Identifier(name), columns))
    with connection.cursor().copy(sql.SQL("copy {} from stdin").format(sql.Identifier(name))) as copy:
        for arrays in batches:
            if len(arrays[0]):
                copy.write(_lines(arrays))


def _lines(arrays: list[pa.Array]) -> bytes:
    """One line a row, its values separated by tabs."""
    nothing = pa.scalar("", _TEXT)
    fields = pc.binary_join_element_wise(*map(_field, arrays), pa.scalar("\t", _TEXT))
    lines = pc.binary_join_element_wise(fields, nothing, pa.scalar("\n", _TEXT))
    offsets = memoryview(lines.buffers()[1]).cast("q")
    return bytes(memoryview(lines.buffers()[2])[offsets[lines.offset] : offsets[lines.offset + len(lines)]])


def _field(values: pa.Array) -> pa.Array:
    """The values as COPY reads them."""
    if pa.types.is_timestamp(values.type):
        values = values.view(pa.int64())
    texts = values.cast(_TEXT)
    if values.type in _TEXTS:
        for character, escape in _ESCAPES:
            texts = pc.replace_substring(texts, character, escape)
    return texts.fill_null(pa.scalar("\\N", _TEXT))
