"""The two tables of one stream in a DuckDB file, and how a row of theirs is written in SQL."""

import json
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.replication.destinations.duckdb_types import column_type, quoted
from dvd_rental_dagster.replication.ledger import Stamp, StreamState
from dvd_rental_dagster.replication.table import Table

SCHEMAS = ("raw", "history")
_OWN_BEFORE = ("_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_meta", "_airbyte_generation_id")
_OWN_AFTER = ("_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at")
# The compression of these columns is known, and DuckDB spends half of an insert on finding out.
_TYPED_BEFORE = (
    "_airbyte_raw_id varchar using compression zstd not null,"
    " _airbyte_extracted_at timestamptz using compression rle not null,"
    " _airbyte_meta json using compression dict_fsst not null,"
    " _airbyte_generation_id bigint using compression rle not null"
)
_TYPED_AFTER = "_ab_cdc_lsn bigint, _ab_cdc_updated_at timestamptz, _ab_cdc_deleted_at timestamptz"
_NEW_ID = "cast(uuidv7() as varchar)"
_SHORT_NAMES = {"float": "real", "timestamp with time zone": "timestamptz"}


class StreamTables:
    """``raw`` and ``history`` of one stream; ``stamp`` and ``state`` are what its new rows carry."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, stamp: Stamp, table: Table, state: StreamState) -> None:
        self.connection = connection
        self.table = table
        self.state = state
        self.name = quoted(table.stream.name)
        self.columns = tuple(quoted(column.name) for column in table.columns)
        self.all_columns = (*_OWN_BEFORE, *self.columns, *_OWN_AFTER)
        self.names = ", ".join(self.all_columns)
        self._stamp = stamp

    @property
    def appends(self) -> bool:
        """Whether ``raw`` holds versions, as ``history`` does."""
        return self.state.mode is SyncMode.INCREMENTAL_APPEND

    @property
    def extracted_at(self) -> int:
        """The instant that new rows carry, in microseconds since 1970."""
        return self._stamp.extracted_at

    def create(self, *schemas: str, replace: bool = False) -> None:
        """Make the stream's table in the schemas where it is missing, or empty and anew."""
        source = ", ".join(f"{quoted(column.name)} {column_type(column)}" for column in self.table.columns)
        columns = ", ".join(part for part in (_TYPED_BEFORE, source, _TYPED_AFTER) if part)
        make, unless = ("create or replace", "") if replace else ("create", "if not exists")
        for schema in schemas:
            self.connection.execute(f"{make} table {unless} {schema}.{self.name} ({columns})")

    def execute(
        self,
        query: str,
        given_rows: pa.Table | pa.RecordBatchReader | None = None,  # noqa: ARG002  # the query names it
    ) -> int:
        """Run one statement that may select from ``given_rows``, and return the number of rows that it changed.

        DuckDB finds the rows under the name of this argument (its "replacement scan") and lets go of them when the
        statement ends; what is registered instead stays in memory until the transaction ends.
        """
        result = self.connection.execute(query).fetchone()
        return int(result[0]) if result else 0

    def row(self, values: Sequence[str], lsn: str, updated_at: str, deleted_at: str, *, raw_id: str = _NEW_ID) -> str:
        """The select list of one row of the contract; the arguments are SQL expressions."""
        meta = json.dumps({"sync_id": self._stamp.sync_id, "changes": []})
        named = (f"{value} as {column}" for value, column in zip(values, self.columns, strict=True))
        return ", ".join(
            (
                f"{raw_id} as _airbyte_raw_id",
                f"make_timestamptz({self._stamp.extracted_at}) as _airbyte_extracted_at",
                f"cast('{meta}' as json) as _airbyte_meta",
                f"cast({self.state.generation} as bigint) as _airbyte_generation_id",
                *named,
                f"cast({lsn} as bigint) as _ab_cdc_lsn",
                f"{updated_at} as _ab_cdc_updated_at",
                f"{deleted_at} as _ab_cdc_deleted_at",
            )
        )

    def live(self) -> str:
        """The last version of every row that is there, as a relation; in append mode ``raw`` has the others too."""
        return self.live_versions("raw") if self.appends else f"raw.{self.name}"

    def live_versions(self, schema: str) -> str:
        """The last version of every row that is there, of a schema that holds all versions, as a relation."""
        if self.table.key:
            return f"(select * from {self._last_versions(schema)} where _ab_cdc_deleted_at is null)"
        same = f"over (partition by {', '.join(self.columns)})"
        newest = (
            f"row_number() over (partition by {', '.join(self.columns)}, _ab_cdc_deleted_at is null"
            " order by _airbyte_generation_id desc, _ab_cdc_lsn desc)"
        )
        return (
            f"(select * from {schema}.{self.name} qualify _ab_cdc_deleted_at is null and {newest}"
            f" <= count(*) filter (_ab_cdc_deleted_at is null) {same}"
            f" - count(*) filter (_ab_cdc_deleted_at is not null) {same})"
        )

    def latest(self) -> str:
        """The last version of every key, deletes among them where ``raw`` holds versions, as a relation."""
        return self._last_versions("raw") if self.appends else f"raw.{self.name}"

    def _last_versions(self, schema: str) -> str:
        key = ", ".join(quoted(part) for part in self.table.key)
        last = f"row_number() over (partition by {key} order by _airbyte_generation_id desc, _ab_cdc_lsn desc) = 1"
        return f"(select * from {schema}.{self.name} qualify {last})"

    def insert(self, schema: str, rows: str, given_rows: pa.Table | pa.RecordBatchReader | None = None) -> int:
        """Insert the rows of a query, which may select from ``given_rows``, and return their number."""
        return self.execute(f"insert into {schema}.{self.name} ({self.names}) {rows}", given_rows)

    def holds_rows(self, schema: str) -> bool:
        """Whether the stream's table in the schema has any row."""
        return self.count(f"(select 1 from {schema}.{self.name} limit 1)") > 0

    def count(self, relation: str) -> int:
        """Number of rows of a relation."""
        [(count,)] = self.connection.execute(f"select count(*) from {relation}").fetchall()
        return int(count)

    def types(self, schema: str) -> dict[str, str]:
        """The columns of the stream's table as DuckDB has them, by name, with the types' names as ``column_type``'s."""
        held = types_held(self.connection, schema, self.table.stream.name)
        return {name: _SHORT_NAMES.get(data_type, data_type) for name, data_type in held.items()}


def types_held(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> dict[str, str]:
    """The columns of a table in their order, with DuckDB's names for their types, in lower case.

    From the table itself: DuckDB's list of all columns binds every view of its own catalog.
    """
    rows = connection.execute(
        f"select column_name, lower(column_type) from (describe {schema}.{quoted(name)})"
    ).fetchall()
    return dict(rows)
