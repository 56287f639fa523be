"""Full reads of a table under one exported snapshot, as Arrow record batches, by two sessions at a time.

A large table is read in ranges of blocks (PostgreSQL documentation, 5.6 "System Columns", ctid).
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
from psycopg import Connection, sql

from dvd_rental_dagster.errors import StreamTableError, one_line
from dvd_rental_dagster.replication.array import arrays_to_json
from dvd_rental_dagster.replication.bulk_session import BulkSession, bulk_session
from dvd_rental_dagster.replication.column import Column, Kind
from dvd_rental_dagster.replication.packed_columns import PackedColumns, UnexpectedNullsError
from dvd_rental_dagster.replication.prefetch import Prefetch
from dvd_rental_dagster.replication.table import Table, unfit_value
from dvd_rental_dagster.replication.timestamps import UnfitTimestampError, with_infinities

_SESSIONS = 2
_RANGE_BLOCKS = 4096
_TID_RANGE_SCANS_SINCE = 140000
# The snapshot sees the catalog's row as it was; the function tells the file that is read now.
_REWRITTEN = sql.SQL(
    "select oid::int8 from pg_catalog.pg_class where relfilenode <> pg_catalog.pg_relation_filenode(oid)"
    " and (oid = {0}::oid or oid in (select relid from pg_catalog.pg_partition_tree({0}::oid)))"
)

_CASTS: dict[Kind, str] = {
    Kind.SMALLINT: "int2",
    Kind.INTEGER: "int4",
    Kind.BIGINT: "int8",
    Kind.REAL: "float4",
    Kind.DOUBLE: "float8",
    Kind.BOOLEAN: "bool",
    Kind.TIMESTAMP: "timestamp",
    Kind.TIMESTAMPTZ: "timestamptz",
}
_TEXT_CAST_DIFFERS = frozenset({"bpchar", "inet", "cidr"})
_TIMESTAMPS = frozenset({Kind.TIMESTAMP, Kind.TIMESTAMPTZ})


def _value(column: Column) -> sql.Composable:
    """The expression that gives a value natively where ADBC is faithful, else as the text that the log would carry.

    A cast to text is the type's output function, but for the few types with a cast of their own (``pg_cast``).
    """
    name = sql.Identifier(column.name)
    if column.kind in _CASTS:
        return sql.SQL("{}::{} as {}").format(name, sql.SQL(_CASTS[column.kind]), name)
    if column.pg_type in _TEXT_CAST_DIFFERS:
        return sql.SQL("case when {} is not null then format('%s', {}) end as {}").format(name, name, name)
    return sql.SQL("{}::text as {}").format(name, name)


def _faithful(batch: pa.RecordBatch, table: Table) -> pa.RecordBatch:
    """The batch with what ADBC does not carry as it is put right."""
    for index, column in enumerate(table.columns):
        if column.kind is Kind.ARRAY:
            batch = batch.set_column(index, column.name, arrays_to_json(batch.column(index), column.element))
        elif column.kind in _TIMESTAMPS:
            values = batch.column(index)
            try:
                right = with_infinities(values)
            except UnfitTimestampError as error:
                raise unfit_value(table.stream, f"{column.name} holds {error}") from error
            batch = batch if right is values else batch.set_column(index, batch.schema.field(index), right)
    return batch


class SnapshotReader:
    """Reads tables as an exported snapshot shows them; ``source`` is an ordinary session at the source."""

    def __init__(self, source: Connection[Any], sessions: list[BulkSession]) -> None:
        self._source = source
        self._sessions = sessions

    @contextmanager
    def rows(self, table: Table) -> Iterator[pa.RecordBatchReader]:
        """The table's rows, a batch at a time, in no order; the reader must be spent before the context ends.

        Raises:
            SourceUnreachableError: the connection broke.
            SourceLockedError: another session keeps the table to itself.
            StreamTableError: the server refused to read the table, or it is not any more what the snapshot shows.
        """
        self._hold(table)
        blocks = PackedColumns(table.columns).blocks if self._has_ranges(table) else 0
        conditions = iter(self._conditions(table, blocks or _RANGE_BLOCKS))
        read = _packed_batches if blocks else _batches
        with closing(Prefetch([read(session, table, conditions) for session in self._sessions])) as prefetch:
            first = next(prefetch)
            batches = pa.RecordBatchReader.from_batches(first.schema, chain([first], prefetch))
            try:
                yield batches
            finally:
                # Whoever reads the batches has seen an error of its own kind, which tells less.
                if prefetch.failure is not None:
                    raise prefetch.failure

    def _hold(self, table: Table) -> None:
        """Keep the table as it is until the sessions end, and make sure that it still is what the snapshot shows.

        One that was rewritten since shows no row that was there (PostgreSQL documentation, 13.6 "Caveats").
        """
        only = sql.SQL("" if table.partitioned else "only")
        lock = sql.SQL("lock table {} {} in access share mode").format(only, sql.Identifier(*table.stream.source_table))
        with _refusals(table):
            for session in self._sessions:
                session.execute(lock.as_string(None))
            with self._sessions[0].rows(_REWRITTEN.format(table.oid).as_string(None)) as (_, batches):
                is_rewritten = any(batch.num_rows for batch in batches)
        if is_rewritten:
            raise StreamTableError(
                f"{table.stream.source_name} was rewritten or truncated after its snapshot was taken, which cannot be "
                "read any more. Run it again."
            )

    def _has_ranges(self, table: Table) -> bool:
        return not table.partitioned and self._source.info.server_version >= _TID_RANGE_SCANS_SINCE

    def _conditions(self, table: Table, blocks: int) -> list[sql.Composable]:
        """Which rows to read, range by range; shared by the sessions, each of which takes the next."""
        starts = range(0, self._blocks(table), blocks) if self._has_ranges(table) else range(0)
        if len(starts) <= 1:
            return [sql.SQL("true")]
        conditions: list[sql.Composable] = [sql.SQL("ctid >= '({},0)'").format(start) for start in starts]
        for index, start in enumerate(starts[1:]):
            conditions[index] += sql.SQL(" and ctid < '({},0)'").format(start)
        return conditions

    def _blocks(self, table: Table) -> int:
        """Size of the table in blocks."""
        row = self._source.execute(
            "select pg_catalog.pg_relation_size(%s::oid) / current_setting('block_size')::int8", (table.oid,)
        ).fetchone()
        assert row is not None  # noqa: S101  # a select of one value has one row
        return int(row[0] or 0)


def _batches(session: BulkSession, table: Table, conditions: Iterator[sql.Composable]) -> Iterator[pa.RecordBatch]:
    values = sql.SQL(", ").join(_value(column) for column in table.columns)
    for condition in conditions:
        with _selected(session, table, values, condition) as (schema, batches):
            yield _faithful(pa.RecordBatch.from_pylist([], schema=schema), table)
            for batch in batches:
                yield _faithful(batch, table)


def _packed_batches(
    session: BulkSession, table: Table, conditions: Iterator[sql.Composable]
) -> Iterator[pa.RecordBatch]:
    columns = PackedColumns(table.columns)
    yield pa.RecordBatch.from_pylist([], schema=columns.schema)
    for condition in conditions:
        try:
            rows = _unpacked(session, table, columns, condition)
        except UnexpectedNullsError as error:  # that range is read twice, and from then on there is room for them
            columns = replace(columns, nullable=columns.nullable | error.columns)
            rows = _unpacked(session, table, columns, condition)
        yield _faithful(rows, table)


def _unpacked(session: BulkSession, table: Table, columns: PackedColumns, condition: sql.Composable) -> pa.RecordBatch:
    with _selected(session, table, columns.select_list(), condition) as (_, batches):
        (packed,) = (batch for batch in batches if batch.num_rows)
        return columns.rows(packed)


@contextmanager
def _selected(
    session: BulkSession, table: Table, values: sql.Composable, condition: sql.Composable
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    query = sql.SQL("select {} from {} {} where {}").format(
        values, sql.SQL("" if table.partitioned else "only"), sql.Identifier(*table.stream.source_table), condition
    )
    with _refusals(table), session.rows(query.as_string(None)) as selected:
        yield selected


@contextmanager
def _refusals(table: Table) -> Iterator[None]:
    """Name the table that the server does not let us read, and the remedy."""
    try:
        yield
    except adbc.Error as error:
        raise StreamTableError(
            f"{table.stream.source_name} cannot be read: {one_line(error)}. Mend that, then run it again."
        ) from error


@contextmanager
def snapshot_reader(url: str, source: Connection[Any], snapshot: str) -> Iterator[SnapshotReader]:
    """Open the sessions that see what the exported snapshot saw.

    Raises:
        SourceUnreachableError: no connection, or it broke.
    """
    with ExitStack() as stack:
        sessions: list[BulkSession] = []
        for _ in range(_SESSIONS):
            session = stack.enter_context(bulk_session(url, sessions[0] if sessions else None))
            session.execute("set transaction isolation level repeatable read, read only")
            session.execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(snapshot)).as_string(None))
            sessions.append(session)
        yield SnapshotReader(source, sessions)
