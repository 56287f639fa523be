"""The two tables of one stream in a PostgreSQL warehouse, and how a row of theirs is written in SQL."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.replication.destinations.postgres_copy import copy_rows
from dvd_rental_dagster.replication.destinations.postgres_types import column_type, instant, type_name
from dvd_rental_dagster.replication.ledger import Stamp, StreamState
from dvd_rental_dagster.replication.table import Table

SCHEMAS = ("raw", "history")
NEVER = sql.SQL("null::timestamptz")
_OWN_BEFORE = ("_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_meta", "_airbyte_generation_id")
_OWN_AFTER = ("_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at")
_TYPED_BEFORE = sql.SQL(
    "_airbyte_raw_id text not null, _airbyte_extracted_at timestamptz not null,"
    " _airbyte_meta jsonb not null, _airbyte_generation_id bigint not null"
)
_TYPED_AFTER = sql.SQL("_ab_cdc_lsn bigint, _ab_cdc_updated_at timestamptz, _ab_cdc_deleted_at timestamptz")
_NEW_ID = sql.SQL("gen_random_uuid()::text")


def listed(parts: Iterable[sql.Composable], separator: str = ", ") -> sql.Composed:
    """The parts with a separator between them."""
    return sql.SQL(separator).join(parts)


def names(columns: Iterable[str]) -> sql.Composed:
    """Columns, separated by commas."""
    return listed(map(sql.Identifier, columns))


def identity(columns: Iterable[sql.Composable]) -> sql.Composed:
    """A row as one value that can be compared, sorted and hashed whatever its types: the texts of its columns.

    Nulls in an array are equal to each other (PostgreSQL documentation, 9.19 "Array Functions and Operators").
    """
    return sql.SQL("array[{}]").format(listed(sql.SQL("{}::text").format(column) for column in columns))


class PostgresTables:
    """``raw`` and ``history`` of one stream; ``stamp`` and ``state`` are what its new rows carry."""

    def __init__(self, connection: Connection[Any], stamp: Stamp, table: Table, state: StreamState) -> None:
        self.connection = connection
        self.table = table
        self.state = state
        self.source_columns = tuple(column.name for column in table.columns)
        self.all_columns = (*_OWN_BEFORE, *self.source_columns, *_OWN_AFTER)
        self.names = names(self.all_columns)
        self.key = names(table.key)
        self.raw = self.relation("raw")
        self._stamp = stamp

    @property
    def appends(self) -> bool:
        """Whether ``raw`` holds versions, as ``history`` does."""
        return self.state.mode is SyncMode.INCREMENTAL_APPEND

    @property
    def extracted_at(self) -> sql.Composed:
        """The instant that new rows carry."""
        return instant(sql.Literal(self._stamp.extracted_at))

    def relation(self, schema: str) -> sql.Identifier:
        """The stream's table in the schema."""
        return sql.Identifier(schema, self.table.stream.name)

    def create(self, *schemas: str) -> None:
        """Make the stream's table in the schemas where it is missing; ``raw`` is found by key."""
        source = (
            sql.SQL("{} {}").format(sql.Identifier(column.name), type_name(column_type(column)))
            for column in self.table.columns
        )
        columns = listed((_TYPED_BEFORE, *source, _TYPED_AFTER))
        for schema in schemas:
            if self.types(schema):
                continue
            self.execute("create table {table} ({columns})", table=self.relation(schema), columns=columns)
            if schema == "raw" and self.table.key:
                self.execute("create index on {raw} ({key})", key=self.key)

    def empty_raw(self) -> None:
        """Make ``raw`` empty, with the table's columns and types; it stays the same table where it has these."""
        held, wanted = self.types("raw"), {column.name: column_type(column) for column in self.table.columns}
        if held == wanted:
            self.execute("delete from {raw}")
        else:
            self.execute("drop table if exists {raw}")
            self.create("raw")

    def execute(self, query: str, **parts: sql.Composable) -> int:
        """Run one statement, in which names in braces are these parts, and return the number of rows it changed.

        Of this object it may name ``raw``, ``history``, ``names`` and ``key``.
        """
        own = {"raw": self.raw, "history": self.relation("history"), "names": self.names, "key": self.key}
        return self.connection.execute(sql.SQL(query).format(**{**own, **parts})).rowcount

    def keep(self, name: str, query: str, **parts: sql.Composable) -> int:
        """Keep a query's rows in a temporary table, in place of what it held, and return their number."""
        table = sql.Identifier(name)
        self.execute("drop table if exists pg_temp.{table}", table=table)
        return self.execute("create temporary table {table} as " + query, table=table, **parts)

    def copy(self, name: str, types: Mapping[str, str], batches: Iterable[list[pa.Array]]) -> None:
        """Fill a temporary table with Arrow's columns; see ``copy_rows``."""
        copy_rows(self.connection, name, types, batches)

    def drop(self, *temporary: str) -> None:
        """Drop temporary tables."""
        self.execute("drop table {tables}", tables=names(temporary))

    def row(
        self,
        values: Sequence[sql.Composable],
        lsn: sql.Composable,
        updated_at: sql.Composable,
        deleted_at: sql.Composable,
        *,
        raw_id: sql.Composable = _NEW_ID,
    ) -> sql.Composed:
        """The select list of one row of the contract."""
        meta = Jsonb({"sync_id": self._stamp.sync_id, "changes": []})
        cells = (
            raw_id,
            self.extracted_at,
            sql.Literal(meta),
            sql.SQL("{}::bigint").format(sql.Literal(self.state.generation)),
            *values,
            sql.SQL("{}::bigint").format(lsn),
            updated_at,
            deleted_at,
        )
        return listed(
            sql.SQL("{} as {}").format(cell, sql.Identifier(column))
            for cell, column in zip(cells, self.all_columns, strict=True)
        )

    def columns_of(self, alias: str | None = None) -> list[sql.Composable]:
        """The source's columns, of a relation when it is named."""
        return [sql.Identifier(*filter(None, (alias, column))) for column in self.source_columns]

    def live(self) -> sql.Composable:
        """The last version of every row that is there, as a relation; in append mode ``raw`` has the others too."""
        return self.live_versions("raw") if self.appends else self.raw

    def live_versions(self, schema: str) -> sql.Composed:
        """The last version of every row that is there, of a schema that holds all versions, as a relation."""
        if self.table.key:
            return sql.SQL("(select * from {} as latest where _ab_cdc_deleted_at is null)").format(
                self._last_versions(schema)
            )
        return sql.SQL(
            "(select * from (select *, row_number() over (partition by {row}, _ab_cdc_deleted_at is null"
            " order by _airbyte_generation_id desc, _ab_cdc_lsn desc) as _airbyte_newest,"
            " 2 * count(*) filter (where _ab_cdc_deleted_at is null) over (partition by {row})"
            " - count(*) over (partition by {row}) as _airbyte_there from {versions}) as versions"
            " where _ab_cdc_deleted_at is null and _airbyte_newest <= _airbyte_there)"
        ).format(row=identity(self.columns_of()), versions=self.relation(schema))

    def latest(self) -> sql.Composable:
        """The last version of every key, deletes among them where ``raw`` holds versions, as a relation."""
        return self._last_versions("raw") if self.appends else self.raw

    def _last_versions(self, schema: str) -> sql.Composed:
        return sql.SQL(
            "(select distinct on ({key}) * from {versions}"
            " order by {key}, _airbyte_generation_id desc, _ab_cdc_lsn desc)"
        ).format(key=self.key, versions=self.relation(schema))

    def insert(self, schema: str, rows: str, **parts: sql.Composable) -> int:
        """Insert the rows of a query, and return their number."""
        return self.execute("insert into {into} ({names}) " + rows, into=self.relation(schema), **parts)

    def holds_rows(self, schema: str) -> bool:
        """Whether the stream's table in the schema has any row."""
        query = sql.SQL("select from {} limit 1").format(self.relation(schema))
        return self.connection.execute(query).rowcount > 0

    def types(self, schema: str) -> dict[str, str]:
        """The source's columns as the warehouse has them, by name; none where it has no such table."""
        rows = self.connection.execute(
            """
            select attname, format_type(atttypid, atttypmod)
            from pg_attribute inner join pg_class on attrelid = pg_class.oid
            where relnamespace = %s::regnamespace and relname = %s and relkind in ('r', 'p')
            and attnum > 0 and not attisdropped and not attname = any(%s)
            order by attnum
            """,
            (schema, self.table.stream.name, [*_OWN_BEFORE, *_OWN_AFTER]),
        )
        return dict(rows.fetchall())
