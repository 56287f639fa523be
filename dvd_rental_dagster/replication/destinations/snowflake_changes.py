"""Changes of one stream merged in Snowflake: staged in the log's order, completed, and written to both tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from dvd_rental_dagster.replication.destinations.parts import resolvable_parts
from dvd_rental_dagster.replication.destinations.raw_ids import raw_ids
from dvd_rental_dagster.replication.destinations.snowflake_tables import SnowflakeTables, identity, listed
from dvd_rental_dagster.replication.destinations.snowflake_types import (
    INSTANT,
    INTEGER,
    TEXT,
    folded,
    instant,
    instants,
    quoted,
    staged,
)
from dvd_rental_dagster.replication.failpoint import FailPoint
from dvd_rental_dagster.replication.rows import Changes, Operation

_TYPES = {
    "_AIRBYTE_RAW_ID": TEXT,
    "_AIRBYTE_SEQUENCE": INTEGER,
    "_AIRBYTE_OPERATION": INTEGER,
    "_AIRBYTE_LSN": INTEGER,
    "_AIRBYTE_COMMITTED_AT": INSTANT,
}
"""What a staged change has beside the source's columns, of which none begins so."""

_DELETED_AT = f"iff(_AIRBYTE_OPERATION = {int(Operation.DELETE)}, _AIRBYTE_COMMITTED_AT, null)"


def apply(tables: SnowflakeTables, changes: Changes) -> None:
    """Apply changes; see ``Destination.apply``."""
    given = _stage(tables, changes)
    if changes.are_inserts:
        _write(tables, given)
        tables.insert("RAW", _row(tables, "RAW"), given)
        return
    start = 0
    for part, rekeyed in resolvable_parts(changes):
        end = start + len(part)
        chosen = f"_AIRBYTE_SEQUENCE >= {start} and _AIRBYTE_SEQUENCE < {end}"
        if rekeyed:
            _fill_from_old_key(tables, given, tuple(part.unchanged), start)
        else:
            for name in part.unchanged:
                _fill_unchanged(tables, given, name, _flag(changes, name), chosen)
        _write(tables, f"{given} where {chosen}")
        _merge(tables, given, chosen)
        start = end


def truncate(tables: SnowflakeTables, lsn: int, committed_at: int) -> int:
    """Empty the stream; see ``Destination.truncate``."""
    [(count,)] = tables.session.ask_ahead(tables.stream, f"select count(*) from {tables.live()} as live")
    at = instant(committed_at)
    for schema in ("HISTORY", "RAW"):
        if schema == "HISTORY" or tables.appends:
            held = tables.held("RAW")
            values = {name: quoted(name) for name in tables.wanted}
            row = tables.row(schema, values, held, lsn=str(lsn), updated_at=at, deleted_at=at)
            tables.insert(schema, row, f"{tables.live()} as live")
        else:
            tables.later(f"delete from {tables.relation('RAW')}")
        if schema == "HISTORY":
            tables.session.later(tables.stream, FailPoint.IN_APPLY)
    return int(count)


def _flag(changes: Changes, column: str) -> str:
    """The column that marks the values left out of one of the columns that have any."""
    return f"_AIRBYTE_UNCHANGED_{list(changes.unchanged).index(column)}"


def _stage(tables: SnowflakeTables, changes: Changes) -> str:
    """The changes in a temporary table, one row a change."""
    arrays: list[pa.Array] = [
        raw_ids(len(changes)),
        *(pa.array(values) for values in (np.arange(len(changes)), changes.operation, changes.lsn)),
        instants(pa.array(changes.committed_at)),
        *(pa.array(mask) for mask in changes.unchanged.values()),
    ]
    types = _TYPES | {_flag(changes, name): "boolean" for name in changes.unchanged}
    for column in tables.table.columns:
        name = folded(column.name)
        types[name] = tables.wanted[name]
        if column.name in changes.columns:
            arrays.append(staged(tables.stream, column, changes.columns[column.name]))
        else:
            arrays.append(pa.nulls(len(changes), pa.large_string()))
    given, _ = tables.stage.load(types, [arrays])
    return given


def _row(tables: SnowflakeTables, schema: str) -> dict[str, str]:
    """The expressions that make a row of the contract of a staged change."""
    return tables.row(
        schema,
        {name: quoted(name) for name in tables.wanted},
        tables.wanted,
        lsn="_AIRBYTE_LSN",
        updated_at="_AIRBYTE_COMMITTED_AT",
        deleted_at=_DELETED_AT,
        raw_id="_AIRBYTE_RAW_ID",
    )


def _write(tables: SnowflakeTables, given: str) -> None:
    """Write staged changes to ``history``."""
    tables.insert("HISTORY", _row(tables, "HISTORY"), given)
    tables.session.later(tables.stream, FailPoint.IN_APPLY)


def _fill_unchanged(tables: SnowflakeTables, given: str, column: str, flag: str, chosen: str) -> None:
    """Give values that the log left out as unchanged the last one before: staged, or in the warehouse.

    Every value that is known begins a group of those that follow it until the next.
    """
    key, name = listed(tables.key), quoted(column)
    tables.later(f"""
        update {given} set {name} = filled.value
        from (
            with versions as (
                select {key}, {name}, -1 as _AIRBYTE_SEQUENCE, false as _AIRBYTE_LEFT_OUT
                from {tables.latest()} as latest
                where ({key}) in (select {key} from {given} where {flag} and {chosen})
                union all
                select {key}, {name}, _AIRBYTE_SEQUENCE, {flag} from {given} where {chosen}
            ),
            grouped as (
                select
                    {key}, {name}, _AIRBYTE_SEQUENCE,
                    sum(iff(_AIRBYTE_LEFT_OUT, 0, 1)) over (
                        partition by {key} order by _AIRBYTE_SEQUENCE
                        rows between unbounded preceding and current row
                    ) as _AIRBYTE_KNOWN
                from versions
            )
            select
                _AIRBYTE_SEQUENCE,
                first_value({name}) over (partition by {key}, _AIRBYTE_KNOWN order by _AIRBYTE_SEQUENCE) as value
            from grouped
        ) as filled
        where {given}._AIRBYTE_SEQUENCE = filled._AIRBYTE_SEQUENCE and {given}.{flag}
        """)


def _fill_from_old_key(tables: SnowflakeTables, given: str, columns: Sequence[str], start: int) -> None:
    """Give the second staged row, which changed its key, what the warehouse holds for the first, its old key."""
    key = listed(tables.key)
    assigned = ", ".join(f"{quoted(column)} = held.{quoted(column)}" for column in columns)
    tables.later(f"""
        update {given} set {assigned}
        from (
            select {listed(columns)} from {tables.latest()} as latest
            where ({key}) in (select {key} from {given} where _AIRBYTE_SEQUENCE = {start})
        ) as held
        where {given}._AIRBYTE_SEQUENCE = {start + 1}
        """)


def _merge(tables: SnowflakeTables, given: str, chosen: str) -> None:
    """Write to ``raw`` what the stream's mode keeps of the staged changes."""
    row = _row(tables, "RAW")
    if tables.appends:
        tables.insert("RAW", row, f"{given} where {chosen}")
    elif tables.key:
        _merge_by_key(tables, row, given, chosen)
    else:
        _merge_as_bag(tables, row, given, chosen)


def _merge_by_key(tables: SnowflakeTables, row: Mapping[str, str], given: str, chosen: str) -> None:
    """Keep the last version of every key."""
    selected = ", ".join(f"{value} as {quoted(name)}" for name, value in row.items())
    matches = " and ".join(f"target.{quoted(part)} = latest.{quoted(part)}" for part in tables.key)
    tables.later(f"""
        merge into {tables.relation("RAW")} as target
        using (
            select {selected} from {given} where {chosen}
            qualify row_number() over (partition by {listed(tables.key)} order by _AIRBYTE_SEQUENCE desc) = 1
        ) as latest
        on {matches}
        when matched and latest._AB_CDC_DELETED_AT is not null then delete
        when matched then update set {", ".join(f"{quoted(name)} = latest.{quoted(name)}" for name in row)}
        when not matched and latest._AB_CDC_DELETED_AT is null
            then insert ({listed(row)}) values ({listed(row, "latest")})
        """)


def _merge_as_bag(tables: SnowflakeTables, row: Mapping[str, str], given: str, chosen: str) -> None:
    """Without a key rows that look the same are the same: as many of each stay as were there, came and did not go."""
    came, held = (identity(tables.wanted, types) for types in (tables.wanted, tables.held("RAW")))
    gone = f"_AIRBYTE_OPERATION = {int(Operation.DELETE)}"
    changed = f"""(
        select {came} as _AIRBYTE_ROW, sum(iff({gone}, -1, 1)) as _AIRBYTE_SURPLUS
        from {given} where {chosen} group by {came}
    )"""
    tables.later(f"""
        delete from {tables.relation("RAW")} where _AIRBYTE_RAW_ID in (
            select _AIRBYTE_RAW_ID
            from (select _AIRBYTE_RAW_ID, {held} as _AIRBYTE_ROW from {tables.relation("RAW")}) as target
            inner join {changed} as changed on target._AIRBYTE_ROW = changed._AIRBYTE_ROW
            qualify row_number() over (partition by target._AIRBYTE_ROW order by _AIRBYTE_RAW_ID) <= - _AIRBYTE_SURPLUS
        )
        """)
    tables.insert(
        "RAW",
        row,
        f"""(
        select target.*
        from (select *, {came} as _AIRBYTE_ROW from {given} where {chosen} and not {gone}) as target
        inner join {changed} as changed on target._AIRBYTE_ROW = changed._AIRBYTE_ROW
        qualify row_number() over (partition by target._AIRBYTE_ROW order by _AIRBYTE_SEQUENCE desc) <= _AIRBYTE_SURPLUS
    ) as come""",
    )
