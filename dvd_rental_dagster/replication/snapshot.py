"""Full reads of a table under one exported snapshot, as Arrow record batches."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from psycopg import sql

from dvd_rental_dagster.replication.array import arrays_to_json
from dvd_rental_dagster.replication.bulk_session import BulkSession, bulk_session
from dvd_rental_dagster.replication.column import Column, Kind
from dvd_rental_dagster.replication.table import Table

_CASTS: dict[Kind, str] = {
    Kind.SMALLINT: "int2",
    Kind.INTEGER: "int4",
    Kind.BIGINT: "int8",
    Kind.REAL: "float4",
    Kind.DOUBLE: "float8",
    Kind.BOOLEAN: "bool",
}
_TEXT_CAST_DIFFERS = frozenset({"bpchar", "inet", "cidr"})


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


def _with_json_arrays(reader: pa.RecordBatchReader, table: Table) -> pa.RecordBatchReader:
    arrays = [(index, column) for index, column in enumerate(table.columns) if column.kind is Kind.ARRAY]
    if not arrays:
        return reader

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            converted = batch
            for index, column in arrays:
                values = arrays_to_json(batch.column(index), column.element)
                converted = converted.set_column(index, column.name, values)
            yield converted

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


class SnapshotReader:
    """Reads tables as an exported snapshot shows them."""

    def __init__(self, session: BulkSession) -> None:
        self._session = session

    @contextmanager
    def rows(self, table: Table) -> Iterator[pa.RecordBatchReader]:
        """The table's rows, a batch at a time; the reader must be spent before the context ends."""
        query = sql.SQL("select {} from {} {}").format(
            sql.SQL(", ").join(_value(column) for column in table.columns),
            sql.SQL("" if table.partitioned else "only"),
            sql.Identifier(*table.stream.source_table),
        )
        with self._session.rows(query.as_string(None)) as rows:
            yield _with_json_arrays(rows, table)


@contextmanager
def snapshot_reader(url: str, snapshot: str) -> Iterator[SnapshotReader]:
    """Open a session that sees what the exported snapshot saw."""
    with bulk_session(url) as session:
        session.execute("set transaction isolation level repeatable read, read only")
        session.execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(snapshot)).as_string(None))
        yield SnapshotReader(session)
