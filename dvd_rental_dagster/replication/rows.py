"""Row messages of the log to Arrow, a batch at a time: one numpy operation a column, not one Python call a value.

A batch is the messages end to end in one buffer. Values are the text that the server sent, as Arrow string views into
that buffer, so nothing is copied; a destination casts them to its columns' types.
PostgreSQL documentation, 54.9 "Logical Replication Message Formats", TupleData.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dvd_rental_dagster.errors import ProtocolError
from dvd_rental_dagster.replication.pgoutput import HEADER_LENGTH, Relation, Tag

Positions: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

PADDING_BYTES = 16
"""Bytes that a batch's buffer has behind its last message, so that words can be read at any offset."""

_INLINE = 12
_KEY, _OLD, _NEW, _TEXT, _UNCHANGED, _NULL = (ord(character) for character in "KONtun")
_FIRST_BYTES = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF], dtype=np.uint64)
_NEXT_BYTES = np.array([(1 << (8 * count)) - 1 for count in range(9)], dtype=np.uint64)


class Operation(IntEnum):
    """What a change does to the row of its key."""

    INSERT = 0
    UPDATE = 1
    DELETE = 2


@dataclass(frozen=True)
class Transactions:
    """The transactions of a batch, in commit order.

    ``first`` is the index of each one's first message in the batch, ``committed_at`` its commit time in microseconds
    since 1970, ``commit_lsn`` the LSN of its commit record.
    """

    first: list[int]
    committed_at: list[int]
    commit_lsn: list[int]


@dataclass(frozen=True)
class Changes:
    """The changes of one table in one batch, in the order of the log.

    ``columns`` maps a column to its text values; the other fields have one entry a change. ``unchanged`` marks, for the
    columns that have any, values that the server left out because a TOASTed value did not change. ``rekeyed`` is true
    where the row's key was another before, or it has none: a delete of the old key comes right before it.
    """

    columns: dict[str, pa.Array]
    operation: npt.NDArray[np.int8]
    lsn: npt.NDArray[np.int64]
    committed_at: npt.NDArray[np.int64]
    rekeyed: Mask
    unchanged: dict[str, Mask] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.operation)

    @property
    def are_inserts(self) -> bool:
        """Whether every row is new, and so needs nothing from those that are there."""
        return bool((self.operation == Operation.INSERT).all())

    def slice(self, start: int, end: int) -> "Changes":
        """The changes from ``start`` up to ``end``."""
        return Changes(
            {name: values.slice(start, end - start) for name, values in self.columns.items()},
            self.operation[start:end],
            self.lsn[start:end],
            self.committed_at[start:end],
            self.rekeyed[start:end],
            {name: mask[start:end] for name, mask in self.unchanged.items() if mask[start:end].any()},
        )


@dataclass(frozen=True)
class _Values:
    """Where one column's values lie in the buffer, one entry a row."""

    start: Positions
    length: Positions
    state: npt.NDArray[np.uint8]


class _Buffer:
    """A batch's bytes and padding, readable at any offset as big-endian or little-endian words."""

    def __init__(self, data: bytearray) -> None:
        self.data = data
        self.bytes = np.frombuffer(self.data, dtype=np.uint8)
        self.big_16 = self._words(">u2")
        self.big_32 = self._words(">u4")
        self.big_64 = self._words(">u8")
        self.little_32 = self._words("<u4")
        self.little_64 = self._words("<u8")

    def _words(self, dtype: str) -> npt.NDArray[Any]:
        size = np.dtype(dtype).itemsize
        return np.ndarray((len(self.data) - size + 1,), dtype=dtype, buffer=self.data, strides=(1,))

    def views(self, values: _Values) -> npt.NDArray[np.uint64]:
        """Arrow's string views (Arrow's columnar format, "Variable-size Binary View Layout"), two words a value.

        The first holds the length and the first four bytes; the second the next eight bytes of a value of at most
        twelve, else the value's place in the buffer. Short values are therefore equal when their views are.
        """
        length = values.length.astype(np.uint64)
        first = self.little_32[values.start].astype(np.uint64) & _FIRST_BYTES[np.minimum(values.length, 4)]
        views = np.empty((len(length), 2), dtype=np.uint64)
        views[:, 0] = length | (first << np.uint64(32))
        inline = self.little_64[values.start + 4] & _NEXT_BYTES[np.clip(values.length - 4, 0, 8)]
        views[:, 1] = np.where(values.length > _INLINE, values.start.astype(np.uint64) << np.uint64(32), inline)
        return views

    def array(self, values: _Values) -> pa.Array:
        """The values as an Arrow column of string views; all but text is null."""
        views = self.views(values)
        present = values.state == _TEXT
        validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
        buffers = [validity, pa.py_buffer(views), pa.py_buffer(self.data)]
        return pa.Array.from_buffers(pa.string_view(), len(views), buffers)


class Batch:
    """Row messages of many tables and transactions, as they came off the wire.

    ``buffer`` holds them and ``PADDING_BYTES`` more, ``starts`` says where each one's XLogData begins.
    """

    def __init__(self, buffer: bytearray, starts: list[int], transactions: Transactions) -> None:
        self._starts: Positions = np.array(starts, dtype=np.int64)
        self._buffer = _Buffer(buffer)
        self._transactions = transactions
        self._tags = self._buffer.bytes[self._starts + HEADER_LENGTH]
        self._relations = self._buffer.big_32[self._starts + HEADER_LENGTH + 1]

    def by_relation(self) -> Iterator[tuple[int, Positions]]:
        """The OIDs of the tables in the batch, each with the indices of its messages."""
        for oid in np.unique(self._relations):
            yield int(oid), np.flatnonzero(self._relations == oid)

    def committed_since(self, indices: Positions, lsn: int) -> Positions:
        """Those messages whose transaction committed at or after ``lsn``."""
        commit_lsn = np.array(self._transactions.commit_lsn, dtype=np.int64)
        return indices[commit_lsn[self._transaction_of(indices)] >= lsn]

    def origin(self, index: int) -> tuple[int, int]:
        """LSN of one message, and when its transaction committed, in microseconds since 1970."""
        [transaction] = self._transaction_of(np.array([index]))
        return int(self._buffer.big_64[self._starts[index] + 1]), self._transactions.committed_at[transaction]

    def _transaction_of(self, indices: Positions) -> Positions:
        return np.searchsorted(np.array(self._transactions.first), indices, side="right").astype(np.int64) - 1

    def changes(self, indices: Positions, relation: Relation, key: tuple[str, ...]) -> Changes:
        """Decode one table's messages; an update of the key becomes a delete and an update, as every one without a key.

        Raises:
            ProtocolError: a message is not what the relation announced.
        """
        position = self._starts[indices] + HEADER_LENGTH + 5
        tags = self._tags[indices]
        markers = self._buffer.bytes[position]
        position += 1
        has_old = (tags == Tag.DELETE) | ((tags == Tag.UPDATE) & (markers != _NEW))
        names = [column.name for column in relation.columns]
        rows = len(indices)
        old = self._blank(names, rows)
        old_rows = np.flatnonzero(has_old)
        position[old_rows] = self._read_tuples(position[old_rows], old_rows, old, names)
        has_new = tags != Tag.DELETE
        second = np.flatnonzero(has_old & has_new)
        if len(second) and (self._buffer.bytes[position[second]] != _NEW).any():
            raise ProtocolError(f"An update of {relation.name} in the log has no new row. Run the sync again.")
        position[second] += 1
        new = self._blank(names, rows)
        new_rows = np.flatnonzero(has_new)
        self._read_tuples(position[new_rows], new_rows, new, names)
        self._fill_from_old(old, new, names, has_old & has_new)
        return self._assemble(indices, names, key, old, new, tags, has_old)

    @staticmethod
    def _blank(names: list[str], rows: int) -> dict[str, _Values]:
        return {
            name: _Values(np.zeros(rows, np.int64), np.zeros(rows, np.int64), np.full(rows, _NULL, np.uint8))
            for name in names
        }

    def _read_tuples(
        self, position: Positions, rows: Positions, into: dict[str, _Values], names: list[str]
    ) -> Positions:
        """Read one tuple a row, all rows column by column; return where each tuple ends."""
        if len(rows) and (self._buffer.big_16[position] != len(names)).any():
            raise ProtocolError("A row of the log has another number of columns than its relation. Run the sync again.")
        position = position + 2
        for name in names:
            state = self._buffer.bytes[position]
            text = state == _TEXT
            length = np.where(text, self._buffer.big_32[position + 1], 0).astype(np.int64)
            values = into[name]
            values.start[rows] = np.where(text, position + 5, 0)
            values.length[rows] = length
            values.state[rows] = state
            position = position + np.where(text, 5 + length, 1)
        return position

    @staticmethod
    def _fill_from_old(old: dict[str, _Values], new: dict[str, _Values], names: list[str], both: Mask) -> None:
        """The old row carries what the new one left out as unchanged: under REPLICA IDENTITY FULL all, else the key."""
        for name in names:
            fill = both & (new[name].state == _UNCHANGED) & (old[name].state == _TEXT)
            if fill.any():
                for target, source in (
                    (new[name].start, old[name].start),
                    (new[name].length, old[name].length),
                    (new[name].state, old[name].state),
                ):
                    target[fill] = source[fill]

    def _assemble(
        self,
        indices: Positions,
        names: list[str],
        key: tuple[str, ...],
        old: dict[str, _Values],
        new: dict[str, _Values],
        tags: npt.NDArray[np.uint8],
        has_old: Mask,
    ) -> Changes:
        rekeyed = has_old & (tags == Tag.UPDATE) & self._keys_differ(key, old, new)
        deletes = np.flatnonzero((tags == Tag.DELETE) | rekeyed)
        upserts = np.flatnonzero(tags != Tag.DELETE)
        source = np.concatenate([deletes, upserts])
        is_delete = np.concatenate([np.ones(len(deletes), np.bool_), np.zeros(len(upserts), np.bool_)])
        order = np.lexsort((~is_delete, source))
        source, is_delete = source[order], is_delete[order]
        columns: dict[str, pa.Array] = {}
        unchanged: dict[str, Mask] = {}
        for name in names:
            values = _Values(
                np.where(is_delete, old[name].start[source], new[name].start[source]),
                np.where(is_delete, old[name].length[source], new[name].length[source]),
                np.where(is_delete, old[name].state[source], new[name].state[source]),
            )
            columns[name] = self._buffer.array(values)
            left_out = ~is_delete & (values.state == _UNCHANGED)
            if left_out.any():
                unchanged[name] = left_out
        operation = np.where(
            is_delete, Operation.DELETE, np.where(tags[source] == Tag.INSERT, Operation.INSERT, Operation.UPDATE)
        )
        committed_at = np.array(self._transactions.committed_at, dtype=np.int64)
        messages = indices[source]
        return Changes(
            columns,
            operation.astype(np.int8),
            self._buffer.big_64[self._starts[messages] + 1].astype(np.int64),
            committed_at[self._transaction_of(messages)],
            rekeyed[source] & ~is_delete,
            unchanged,
        )

    def _keys_differ(self, key: tuple[str, ...], old: dict[str, _Values], new: dict[str, _Values]) -> Mask:
        rows = len(next(iter(old.values())).start) if old else 0
        differ = np.full(rows, not key, dtype=np.bool_)
        for name in key:
            before, after = old[name], new[name]
            short = before.length <= _INLINE
            unequal = (before.length != after.length) | (before.state != after.state)
            unequal |= short & (self._buffer.views(before) != self._buffer.views(after)).any(axis=1)
            for row in np.flatnonzero(~short & ~unequal):
                size = int(before.length[row])
                first, second = int(before.start[row]), int(after.start[row])
                unequal[row] = self._buffer.data[first : first + size] != self._buffer.data[second : second + size]
            differ |= unequal & (after.state != _UNCHANGED)
        return differ
