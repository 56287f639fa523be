"""A full load of one stream into a DuckDB file: alone, or over rows that are there."""

import pyarrow as pa

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.replication.destinations.duckdb_evolution import widen
from dvd_rental_dagster.replication.destinations.duckdb_tables import SCHEMAS, StreamTables
from dvd_rental_dagster.replication.destinations.duckdb_types import quoted, snapshot_value
from dvd_rental_dagster.replication.destinations.raw_ids import raw_ids
from dvd_rental_dagster.replication.evolution import moved_by_load
from dvd_rental_dagster.replication.ledger import StreamState

_NEVER = "cast(null as timestamptz)"


def load(tables: StreamTables, before: StreamState | None, rows: pa.RecordBatchReader, floor_lsn: int) -> int:
    """Replace the stream by a full load; see ``Destination.load``. ``before`` is its state until now, where known."""
    tables.create(*SCHEMAS)
    _make_room(tables, "history", before)
    values = [snapshot_value(column, rows) for column in tables.table.columns]
    updated_at = f"make_timestamptz({tables.extracted_at})"
    loaded = (
        f"select {tables.row(values, str(floor_lsn), updated_at, _NEVER, raw_id='_airbyte_raw_id')} from given_rows"
    )
    named = _with_raw_ids(rows)
    if tables.state.mode is not SyncMode.FULL_REFRESH_OVERWRITE and any(map(tables.holds_rows, SCHEMAS)):
        tables.execute(f"create or replace temp table loaded as {loaded}", named)
        count = _load_over(tables, before, floor_lsn)
        tables.execute("drop table loaded")
        return count
    tables.create("raw", replace=True)
    count = tables.insert("raw", loaded, named)
    if tables.state.mode is not SyncMode.FULL_REFRESH_OVERWRITE:
        tables.insert("history", f"select {tables.names} from raw.{tables.name}")
    return count


def _make_room(tables: StreamTables, schema: str, before: StreamState | None) -> None:
    """Bring a table that keeps what it had to the columns of the load."""
    widen(tables, schema, moved_by_load(before, tables.table.columns, tables.types(schema)))


def _with_raw_ids(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    schema = rows.schema.append(pa.field("_airbyte_raw_id", pa.string()))
    return pa.RecordBatchReader.from_batches(
        schema, (batch.append_column("_airbyte_raw_id", raw_ids(batch.num_rows)) for batch in rows)
    )


def _load_over(tables: StreamTables, before: StreamState | None, floor_lsn: int) -> int:
    """Load over rows that are there: ``history`` gets the versions that differ from them, and the deletes.

    These are ``raw``'s where it holds just the current rows, with a version of each, else those of ``history``.
    Rows are compared by the texts of their values, because a column may have had another type before.
    """
    is_current = before is not None and before.mode is SyncMode.INCREMENTAL_DEDUPED_HISTORY
    held = tables.types("raw" if is_current else "history")
    texts_before = [
        f"cast({quoted(column.name)} as varchar) as {quoted(column.name)}" if column.name in held
        else f"cast(null as varchar) as {quoted(column.name)}"
        for column in tables.table.columns
    ]  # fmt: skip
    live = tables.live() if is_current else tables.live_versions("history")
    texts = [f"cast({column} as varchar) as {column}" for column in tables.columns]
    columns = ", ".join(tables.columns)
    identifying = ", ".join(quoted(name) for name in tables.table.identifying)
    tables.execute(
        f"""
        create or replace temp table difference as
        with
        held as (select {", ".join(texts_before)} from {live}),
        source as (select {", ".join(texts)} from loaded),
        appeared as (select * from source except all select * from held),
        gone as (select * from held except all select * from source)
        select {columns}, false as _airbyte_gone from appeared
        union all
        select {columns}, true as _airbyte_gone from gone
        {"anti join appeared using (" + identifying + ")" if tables.table.key else ""}
        """
    )
    at = f"make_timestamptz({tables.extracted_at})"
    types = tables.types("history")
    values = [f"cast({quoted(column.name)} as {types[column.name]})" for column in tables.table.columns]
    version = tables.row(values, str(floor_lsn), at, f"case when _airbyte_gone then {at} end")
    tables.insert("history", f"select {version} from difference")
    if tables.appends:
        _make_room(tables, "raw", before)
        tables.insert("raw", f"select {tables.names} from loaded")
    else:
        tables.create("raw", replace=True)
        tables.insert("raw", f"select {tables.names} from loaded")
    tables.execute("drop table difference")
    return tables.count("loaded")
