"""A full load of one stream into Snowflake: alone, or over rows that are there."""

from collections.abc import Mapping

import pyarrow as pa

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.replication.destinations.raw_ids import raw_ids
from dvd_rental_dagster.replication.destinations.snowflake_evolution import widen
from dvd_rental_dagster.replication.destinations.snowflake_stage import Stage
from dvd_rental_dagster.replication.destinations.snowflake_tables import SnowflakeTables, identity, joined, listed
from dvd_rental_dagster.replication.destinations.snowflake_types import (
    TEXT,
    column_type,
    folded,
    quoted,
    staged,
    written,
)
from dvd_rental_dagster.replication.evolution import moved_by_load
from dvd_rental_dagster.replication.ledger import StreamState
from dvd_rental_dagster.replication.table import Table


def load(tables: SnowflakeTables, before: StreamState | None, rows: pa.RecordBatchReader, floor_lsn: int) -> int:
    """Replace the stream by a full load; see ``Destination.load``. ``before`` is its state until now, where known."""
    tables.create()
    keeps_versions = tables.state.mode is not SyncMode.FULL_REFRESH_OVERWRITE
    over = keeps_versions and any(map(tables.holds_rows, ("RAW", "HISTORY")))
    given, count = stage_snapshot(tables.stage, tables.table, rows)
    _make_room(tables, "HISTORY", before)
    if over and before is not None and before.mode is SyncMode.INCREMENTAL_DEDUPED_HISTORY:
        _write_difference(tables, given, tables.relation("RAW"), tables.held("RAW"), floor_lsn)
    elif over:
        _write_difference(tables, given, tables.live_versions("HISTORY"), tables.held("HISTORY"), floor_lsn)
    if over and tables.appends:
        _make_room(tables, "RAW", before)
    else:
        _empty_raw(tables)
    for schema in ("RAW", "HISTORY"):
        if schema == "RAW" or (keeps_versions and not over):
            tables.insert(schema, _row(tables, schema, floor_lsn), given)
    return count


def _make_room(tables: SnowflakeTables, schema: str, before: StreamState | None) -> None:
    """Bring a table that keeps what it had to the columns of the load."""
    moves = moved_by_load(before, tables.table.columns, tables.held(schema))
    widen(tables, schema, {old: folded(new) for old, new in moves.items() if folded(new) != old})


def stage_snapshot(stage: Stage, table: Table, rows: pa.RecordBatchReader) -> tuple[str, int]:
    """A snapshot's rows in a temporary table, each with a name of its own; the table's name, and their number."""
    types = {"_AIRBYTE_RAW_ID": TEXT, **{folded(column.name): column_type(column) for column in table.columns}}
    batches = (
        [
            raw_ids(batch.num_rows),
            *(staged(table.stream, column, batch.column(column.name)) for column in table.columns),
        ]
        for batch in rows
    )
    return stage.load(types, batches)


def _empty_raw(tables: SnowflakeTables) -> None:
    """Leave ``raw`` no row, and the table's columns and types; it stays the same table where it has these."""
    if tables.held("RAW") == tables.wanted:
        tables.later(f"delete from {tables.relation('RAW')}")
    else:
        tables.replace("RAW", tables.wanted)


def _row(tables: SnowflakeTables, schema: str, floor_lsn: int) -> dict[str, str]:
    """The expressions that make a row of the contract of a loaded row."""
    return tables.row(
        schema,
        {name: quoted(name) for name in tables.wanted},
        tables.wanted,
        lsn=str(floor_lsn),
        updated_at=tables.extracted_at,
        raw_id="_AIRBYTE_RAW_ID",
    )


def _write_difference(tables: SnowflakeTables, given: str, live: str, held: Mapping[str, str], floor_lsn: int) -> None:
    """Write the versions of what is loaded that are not there as they are, and a delete for each row that is gone.

    What is there are ``raw``'s rows where it holds just the current ones, with a version of each, else the last
    versions of ``history``; ``held`` has the types of their columns. Rows are compared by the texts of their values,
    because a column may have had another type before. Of rows that look the same each is paired with one.
    """
    values = {name: quoted(name) for name in tables.wanted}
    before = {name: value if name in held else "null" for name, value in values.items()}
    now = tables.row("HISTORY", values, tables.wanted, lsn=str(floor_lsn), updated_at=tables.extracted_at)
    gone = tables.row(
        "HISTORY",
        before,
        {name: held.get(name, data_type) for name, data_type in tables.held("HISTORY").items()},
        lsn=str(floor_lsn),
        updated_at=tables.extracted_at,
        deleted_at=tables.extracted_at,
    )
    # One text, never null, though every part of a key that is new is null before.
    key_before = joined(written(before[part], held.get(part, TEXT)) for part in tables.key)
    key_now = joined(written(values[part], tables.wanted[part]) for part in tables.key)
    still_there = f" and {key_before} not in (select {key_now} from appeared)" if tables.key else ""
    tables.later(f"""
        insert into {tables.relation("HISTORY")} ({listed(now)})
        with held as (
            select *, row_number() over (partition by _AIRBYTE_ROW order by _AIRBYTE_RAW_ID) as _AIRBYTE_NUMBER
            from (select *, {identity(tables.wanted, held)} as _AIRBYTE_ROW from {live} as live) as rows_before
        ),
        source as (
            select *, row_number() over (partition by _AIRBYTE_ROW order by _AIRBYTE_RAW_ID) as _AIRBYTE_NUMBER
            from (select *, {identity(tables.wanted, tables.wanted)} as _AIRBYTE_ROW from {given}) as rows_now
        ),
        appeared as (
            select * from source
            where (_AIRBYTE_ROW, _AIRBYTE_NUMBER) not in (select _AIRBYTE_ROW, _AIRBYTE_NUMBER from held)
        ),
        gone as (
            select * from held
            where (_AIRBYTE_ROW, _AIRBYTE_NUMBER) not in (select _AIRBYTE_ROW, _AIRBYTE_NUMBER from source)
        )
        select {", ".join(now.values())} from appeared
        union all
        select {", ".join(gone.values())} from gone where true{still_there}
        """)
