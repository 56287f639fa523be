"""Rows as a value a column: the server strings a range's values together, and NumPy takes them apart.

A row at a time, each of its fields is a call on either side; a column at a time it is a copy of bytes. It serves tables
whose values are few bytes each, such as those of facts: of fixed width in their binary form (PostgreSQL documentation,
54.7 "Message Formats", and the types' send functions), or decimals, as text.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from dvd_rental_dagster.replication.column import Column, Kind
from dvd_rental_dagster.replication.pgoutput import POSTGRES_EPOCH_MICROSECONDS

_BETWEEN = ","
_RANGE_BYTES = 4 << 20
_FEWEST_BLOCKS = 64
_ROWS_OF_A_BLOCK = 291
"""The most that a block of eight kilobytes holds, each of 28 bytes; nulls take no more."""


@dataclass(frozen=True)
class _Form:
    """How a kind's values are sent, as which NumPy type they arrive, and as which Arrow type they leave."""

    cast: str
    send: str
    sent: str
    arrow: pa.DataType

    @property
    def width(self) -> int:
        """Of a value, in bytes."""
        return np.dtype(self.sent).itemsize


_FORMS: dict[Kind, _Form] = {
    Kind.SMALLINT: _Form("int2", "int2send", ">i2", pa.int16()),
    Kind.INTEGER: _Form("int4", "int4send", ">i4", pa.int32()),
    Kind.BIGINT: _Form("int8", "int8send", ">i8", pa.int64()),
    Kind.REAL: _Form("float4", "float4send", ">f4", pa.float32()),
    Kind.DOUBLE: _Form("float8", "float8send", ">f8", pa.float64()),
    Kind.BOOLEAN: _Form("bool", "boolsend", "?", pa.bool_()),
    Kind.TIMESTAMP: _Form("timestamp", "timestamp_send", ">i8", pa.timestamp("us")),
    Kind.TIMESTAMPTZ: _Form("timestamptz", "timestamptz_send", ">i8", pa.timestamp("us", tz="UTC")),
}


class UnexpectedNullsError(ValueError):
    """Columns that were packed as without nulls have some; ``columns`` are their names."""

    def __init__(self, columns: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(columns)))
        self.columns = columns


@dataclass(frozen=True)
class PackedColumns:
    """A table's columns as one row has them; ``nullable`` are those for whose nulls there is room."""

    columns: tuple[Column, ...]
    nullable: frozenset[str] = frozenset()

    @property
    def blocks(self) -> int:
        """How many blocks a range may have, so that it is never more than a few megabytes; zero when rows are wide.

        Then, or when a column is of another kind, the rows are not for packing.
        """
        if not all(column.kind in _FORMS or column.kind is Kind.DECIMAL for column in self.columns):
            return 0
        blocks = _RANGE_BYTES // (_ROWS_OF_A_BLOCK * sum(map(_bytes_of_a_value, self.columns)))
        return blocks if blocks >= _FEWEST_BLOCKS else 0

    @property
    def schema(self) -> pa.Schema:
        """Of the rows taken apart."""
        return pa.schema(
            [
                pa.field(column.name, _FORMS[column.kind].arrow if column.kind in _FORMS else pa.string())
                for column in self.columns
            ]
        )

    def select_list(self) -> sql.Composable:
        """What makes the one row of a range: the number of rows, then every column's nulls, if any, and values."""
        parts: list[sql.Composable] = [sql.SQL("count(*)")]
        for column in self.columns:
            parts += [self._nulls(column)] if column.name in self.nullable else []
            parts += [self._values(column)]
        return sql.SQL(", ").join(parts)

    def rows(self, packed: pa.RecordBatch) -> pa.RecordBatch:
        """Take the one row apart.

        Raises:
            UnexpectedNullsError: there are nulls where there is no room for them.
        """
        count = packed.column(0)[0].as_py()
        fields = iter(packed.columns[1:])
        arrays = {column.name: self._array(column, fields) for column in self.columns}
        if short := [name for name, array in arrays.items() if len(array) != count]:
            raise UnexpectedNullsError(frozenset(short))
        return pa.RecordBatch.from_arrays(list(arrays.values()), schema=self.schema)

    def _nulls(self, column: Column) -> sql.Composable:
        return sql.SQL("string_agg(boolsend({} is null), ''::bytea)").format(sql.Identifier(column.name))

    def _values(self, column: Column) -> sql.Composable:
        form = _FORMS.get(column.kind)
        name = sql.Identifier(column.name)
        value: sql.Composable
        if form is None:
            value, nothing, between = sql.SQL("{}::text").format(name), sql.Literal(""), sql.Literal(_BETWEEN)
        else:
            value = sql.SQL("{}({}::{})").format(sql.SQL(form.send), name, sql.SQL(form.cast))
            nothing, between = sql.Literal(bytes(form.width)), sql.Literal(b"")
        if column.name in self.nullable:
            value = sql.SQL("coalesce({}, {})").format(value, nothing)
        return sql.SQL("string_agg({}, {})").format(value, between)

    def _array(self, column: Column, fields: Iterator[pa.Array]) -> pa.Array:
        """The column's values from the next fields, but for the nulls for which there is no room."""
        mask = _bytes(next(fields), "?") if column.name in self.nullable else None
        values = next(fields)
        form = _FORMS.get(column.kind)
        if form is None:
            texts = pc.split_pattern(values, _BETWEEN).flatten()
            return texts if mask is None else pc.if_else(pa.array(mask), pa.scalar(None, pa.string()), texts)
        sent = _bytes(values, form.sent)
        native = sent.astype(sent.dtype.newbyteorder("="))
        if pa.types.is_timestamp(form.arrow):
            moved = native + POSTGRES_EPOCH_MICROSECONDS  # past the end of 64 bits it starts anew, as with ADBC
            return pa.array(moved, mask=mask).view(form.arrow)
        return pa.array(native, form.arrow, mask=mask)


def _bytes_of_a_value(column: Column) -> int:
    """Of a value and its null, at most; a decimal's text has a sign, a point and a comma behind it."""
    form = _FORMS.get(column.kind)
    return 1 + (form.width if form else column.precision + 4)


def _bytes(value: pa.Array, sent: str) -> npt.NDArray[np.generic]:
    """The one value of a column, as an array of what was sent; empty when it is null."""
    return np.frombuffer(value[0].as_buffer() or b"", dtype=sent)
