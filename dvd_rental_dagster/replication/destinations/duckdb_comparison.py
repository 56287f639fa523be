"""A stream in a DuckDB file compared with rows of the source."""

from typing import Any

import duckdb
import pyarrow as pa

from dvd_rental_dagster.replication.destinations import Checksum
from dvd_rental_dagster.replication.destinations.duckdb_types import column_type, quoted, snapshot_value
from dvd_rental_dagster.replication.table import Table


class DuckDBComparison:
    """Compares ``raw``'s rows of one stream with rows of a snapshot, value by value after the same casts."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self._columns = ", ".join(quoted(column.name) for column in table.columns)
        # Another engine may have loaded the values as other types; ours are cast to what they are.
        values = ", ".join(
            f"cast({quoted(column.name)} as {column_type(column)}) as {quoted(column.name)}" for column in table.columns
        )
        self._raw = f"(select {values} from raw.{quoted(table.stream.name)})"

    def checksums(self, rows: pa.RecordBatchReader) -> tuple[Checksum, Checksum]:
        """See ``Destination.checksums``."""
        self._connection.register("source_rows", rows)
        source = self._checksum(f"(select {self._values(rows)} from source_rows)")
        self._connection.unregister("source_rows")
        return source, self._checksum(self._raw)

    def differing_keys(self, rows: pa.RecordBatchReader, limit: int) -> tuple[tuple[Any, ...], ...]:
        """See ``Destination.differing_keys``."""
        key = ", ".join(quoted(part) for part in self._table.identifying)
        self._connection.register("source_rows", rows)
        self._connection.execute(
            f"create or replace temp table source_side as select {self._values(rows)} from source_rows"
        )
        self._connection.unregister("source_rows")
        found = self._connection.execute(
            f"""
            with missing as (select * from source_side except all select * from {self._raw}),
            surplus as (select * from {self._raw} except all select * from source_side),
            differing as (select {key} from missing union select {key} from surplus)
            select {key} from differing order by {key} limit {limit}
            """
        ).fetchall()
        self._connection.execute("drop table source_side")
        return tuple(found)

    def _values(self, rows: pa.RecordBatchReader) -> str:
        return ", ".join(f"{snapshot_value(column, rows)} as {quoted(column.name)}" for column in self._table.columns)

    def _checksum(self, relation: str) -> Checksum:
        [(rows, checksum)] = self._connection.execute(
            f"select count(*), coalesce(sum(hash({self._columns})), 0) from {relation}"
        ).fetchall()
        return Checksum(rows, checksum)
