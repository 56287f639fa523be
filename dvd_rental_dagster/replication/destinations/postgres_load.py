"""A full load of one stream into a PostgreSQL warehouse: alone, or over rows that are there."""

from collections.abc import Mapping

import pyarrow as pa
from psycopg import sql

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.replication.column import Column
from dvd_rental_dagster.replication.destinations.postgres_evolution import widen
from dvd_rental_dagster.replication.destinations.postgres_tables import (
    NEVER,
    SCHEMAS,
    PostgresTables,
    identity,
    listed,
)
from dvd_rental_dagster.replication.destinations.postgres_types import column_type, instant, type_name
from dvd_rental_dagster.replication.destinations.raw_ids import raw_ids
from dvd_rental_dagster.replication.evolution import moved_by_load
from dvd_rental_dagster.replication.ledger import StreamState


def load(tables: PostgresTables, before: StreamState | None, rows: pa.RecordBatchReader, floor_lsn: int) -> int:
    """Replace the stream by a full load; see ``Destination.load``. ``before`` is its state until now, where known."""
    tables.create(*SCHEMAS)
    _make_room(tables, "history", before)
    types = {"_airbyte_raw_id": "text", **snapshot_types(tables.table.columns, rows.schema)}
    batches = ([raw_ids(batch.num_rows), *batch.columns] for batch in rows)
    tables.copy("given_rows", types, batches)
    values = snapshot_values(tables.table.columns, rows.schema)
    raw_id = sql.Identifier("_airbyte_raw_id")
    loaded = tables.row(values, sql.Literal(floor_lsn), tables.extracted_at, NEVER, raw_id=raw_id)
    if tables.state.mode is not SyncMode.FULL_REFRESH_OVERWRITE and any(map(tables.holds_rows, SCHEMAS)):
        count = _load_over(tables, before, loaded, floor_lsn)
    else:
        tables.empty_raw()
        count = tables.insert("raw", "select {loaded} from given_rows", loaded=loaded)
        if tables.state.mode is not SyncMode.FULL_REFRESH_OVERWRITE:
            tables.insert("history", "select {names} from {raw}")
    tables.drop("given_rows")
    return count


def _make_room(tables: PostgresTables, schema: str, before: StreamState | None) -> None:
    """Bring a table that keeps what it had to the columns of the load."""
    widen(tables, schema, moved_by_load(before, tables.table.columns, tables.types(schema)))


def snapshot_types(columns: tuple[Column, ...], schema: pa.Schema) -> dict[str, str]:
    """The types in which COPY reads a snapshot's rows, by column; of timestamps it reads microseconds."""
    return {
        column.name: "bigint" if pa.types.is_timestamp(schema.field(column.name).type) else column_type(column)
        for column in columns
    }


def snapshot_values(columns: tuple[Column, ...], schema: pa.Schema) -> list[sql.Composable]:
    """The expressions for a snapshot's values as they were copied."""
    return [
        instant(sql.Identifier(column.name), column_type(column))
        if pa.types.is_timestamp(schema.field(column.name).type)
        else sql.Identifier(column.name)
        for column in columns
    ]


def _load_over(tables: PostgresTables, before: StreamState | None, loaded: sql.Composed, floor_lsn: int) -> int:
    """Load over rows that are there: ``history`` gets the versions that differ from them, and the deletes.

    These are ``raw``'s where it holds just the current rows, with a version of each, else those of ``history``.
    """
    count = tables.keep("loaded", "select {loaded} from given_rows", loaded=loaded)
    if before is not None and before.mode is SyncMode.INCREMENTAL_DEDUPED_HISTORY:
        _write_difference(tables, tables.live(), tables.types("raw"), floor_lsn)
    else:
        _write_difference(tables, tables.live_versions("history"), tables.types("history"), floor_lsn)
    if tables.appends:
        _make_room(tables, "raw", before)
    else:
        tables.empty_raw()
    tables.insert("raw", "select {names} from loaded")
    tables.drop("loaded")
    return count


def _write_difference(tables: PostgresTables, live: sql.Composable, held: Mapping[str, str], floor_lsn: int) -> None:
    """Write the versions of what is loaded that are not there as they are, and a delete for each row that is gone.

    Rows are compared by the texts of their values, because a column may have had another type before.
    """
    before: list[sql.Composable] = [
        sql.Identifier(name) if name in held else sql.SQL("null") for name in tables.source_columns
    ]
    key = [
        sql.SQL("_airbyte_row[{}]").format(sql.Literal(number))
        for number, name in enumerate(tables.source_columns, start=1)
        if name in tables.table.key
    ]
    # Unknown where a part of the key is new, and so null before.
    still_there = sql.SQL("({key}) in (select {key} from appeared)").format(key=listed(key))
    tables.keep(
        "difference",
        """
        with held as (select {before} as _airbyte_row from {live} as live),
        source as (select {now} as _airbyte_row from loaded),
        appeared as (select _airbyte_row from source except all select _airbyte_row from held),
        gone as (select _airbyte_row from held except all select _airbyte_row from source)
        select _airbyte_row, false as _airbyte_gone from appeared
        union all
        select _airbyte_row, true from gone where ({still_there}) is not true
        """,
        before=identity(before),
        live=live,
        now=identity(tables.columns_of()),
        still_there=still_there if key else sql.SQL("false"),
    )
    values = _from_texts(tables, tables.types("history"))
    deleted_at = sql.SQL("case when _airbyte_gone then {} end").format(tables.extracted_at)
    version = tables.row(values, sql.Literal(floor_lsn), tables.extracted_at, deleted_at)
    tables.insert("history", "select {version} from difference", version=version)
    tables.drop("difference")


def _from_texts(tables: PostgresTables, types: Mapping[str, str]) -> list[sql.Composable]:
    """The expressions that read a row's texts as values of these types."""
    return [
        sql.SQL("_airbyte_row[{}]::{}").format(sql.Literal(number), type_name(types[name]))
        for number, name in enumerate(tables.source_columns, start=1)
    ]
