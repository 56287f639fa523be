"""Changes of one stream merged into PostgreSQL: staged in the log's order, completed, and written to both tables."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from psycopg import sql

from dvd_rental_dagster.replication.destinations.parts import resolvable_parts
from dvd_rental_dagster.replication.destinations.postgres_tables import (
    SCHEMAS,
    PostgresTables,
    identity,
    listed,
    names,
)
from dvd_rental_dagster.replication.destinations.postgres_types import column_type, instant, type_name
from dvd_rental_dagster.replication.destinations.raw_ids import raw_ids
from dvd_rental_dagster.replication.failpoint import FailPoint, reach
from dvd_rental_dagster.replication.rows import Changes, Operation

_TYPES = {
    "_airbyte_raw_id": "text",
    "_airbyte_sequence": "bigint",
    "_airbyte_operation": "smallint",
    "_airbyte_lsn": "bigint",
    "_airbyte_committed_at": "bigint",
}
"""What a staged change has beside the source's columns, of which none begins so."""


def apply(tables: PostgresTables, changes: Changes) -> None:
    """Apply changes; see ``Destination.apply``."""
    if changes.are_inserts:
        _insert(tables, changes)
        return
    for part, rekeyed in resolvable_parts(changes):
        _stage(tables, part)
        if rekeyed:
            _fill_from_old_key(tables, tuple(part.unchanged))
        else:
            for number, name in enumerate(part.unchanged):
                _fill_unchanged(tables, name, sql.Identifier(_flag(number)))
        _merge(tables)


def truncate(tables: PostgresTables, lsn: int, committed_at: int) -> int:
    """Empty the stream; see ``Destination.truncate``."""
    at = instant(sql.Literal(committed_at))
    row = tables.row(tables.columns_of(), sql.Literal(lsn), at, at)
    count = tables.keep("emptied", "select {row} from {live} as live", row=row, live=tables.live())
    tables.insert("history", "select {names} from emptied")
    reach(FailPoint.IN_APPLY)
    if tables.appends:
        tables.insert("raw", "select {names} from emptied")
    else:
        tables.execute("delete from {raw}")
    tables.drop("emptied")
    return count


def _flag(number: int) -> str:
    """The column that marks the values left out of one of the columns that have any."""
    return f"_airbyte_unchanged_{number}"


def _insert(tables: PostgresTables, changes: Changes) -> None:
    """Write rows that are new, and need nothing from those that are there, straight to both tables."""
    row = _copy(tables, changes)
    for schema in SCHEMAS:
        tables.insert(schema, "select {row} from given_rows", row=row)
        reach(FailPoint.IN_APPLY)
    tables.drop("given_rows")


def _stage(tables: PostgresTables, changes: Changes) -> None:
    """Make rows of the contract of the changes, in the temporary table ``staged``, one row a change."""
    row = _copy(tables, changes)
    flags = map(_flag, range(len(changes.unchanged)))
    columns = listed((row, names(("_airbyte_sequence", *flags))))
    tables.keep("staged", "select {columns} from given_rows", columns=columns)
    tables.drop("given_rows")


def _copy(tables: PostgresTables, changes: Changes) -> sql.Composed:
    """The changes in the temporary table ``given_rows``, and the select list that makes rows of the contract of it."""
    arrays: list[pa.Array] = [
        raw_ids(len(changes)),
        *(
            pa.array(values)
            for values in (np.arange(len(changes)), changes.operation, changes.lsn, changes.committed_at)
        ),
        *(pa.array(mask) for mask in changes.unchanged.values()),
    ]
    types = _TYPES | {_flag(number): "boolean" for number in range(len(changes.unchanged))}
    values: list[sql.Composable] = []
    for column in tables.table.columns:
        if column.name in changes.columns:
            arrays.append(changes.columns[column.name])
            types[column.name] = column_type(column)
            values.append(sql.Identifier(column.name))
        else:
            values.append(sql.SQL("null::{}").format(type_name(column_type(column))))
    tables.copy("given_rows", types, [arrays])
    at = instant(sql.Identifier("_airbyte_committed_at"))
    deleted_at = sql.SQL("case when _airbyte_operation = {} then {} end").format(sql.Literal(int(Operation.DELETE)), at)
    return tables.row(values, sql.Identifier("_airbyte_lsn"), at, deleted_at, raw_id=sql.Identifier("_airbyte_raw_id"))


def _fill_unchanged(tables: PostgresTables, column: str, flag: sql.Identifier) -> None:
    """Give values that the log left out as unchanged the last one before: staged, or in the warehouse.

    Every value that is known begins a group of those that follow it until the next.
    """
    tables.execute(
        """
        with versions as (
            select {key}, {column}, -1 as _airbyte_sequence, false as _airbyte_left_out
            from {latest} as latest where ({key}) in (select {key} from staged where {flag})
            union all
            select {key}, {column}, _airbyte_sequence, {flag} from staged
        ),
        grouped as (
            select
                {key}, {column}, _airbyte_sequence,
                count(*) filter (where not _airbyte_left_out)
                    over (partition by {key} order by _airbyte_sequence) as _airbyte_known
            from versions
        ),
        filled as (
            select
                _airbyte_sequence,
                first_value({column}) over (partition by {key}, _airbyte_known order by _airbyte_sequence) as value
            from grouped
        )
        update staged set {column} = filled.value
        from filled where staged._airbyte_sequence = filled._airbyte_sequence and staged.{flag}
        """,
        column=sql.Identifier(column),
        flag=flag,
        latest=tables.latest(),
    )


def _fill_from_old_key(tables: PostgresTables, columns: Sequence[str]) -> None:
    """Give the second staged row, which changed its key, what the warehouse holds for the first, its old key."""
    assigned = (sql.SQL("{0} = held.{0}").format(sql.Identifier(column)) for column in columns)
    tables.execute(
        """
        with held as (
            select {columns} from {latest} as latest
            where ({key}) in (select {key} from staged where _airbyte_sequence = 0)
        )
        update staged set {assigned} from held where staged._airbyte_sequence = 1
        """,
        columns=names(columns),
        latest=tables.latest(),
        assigned=listed(assigned),
    )


def _merge(tables: PostgresTables) -> None:
    """Write what is staged to ``history``, and to ``raw`` what the stream's mode keeps of it."""
    tables.insert("history", "select {names} from staged")
    reach(FailPoint.IN_APPLY)
    if tables.appends:
        tables.insert("raw", "select {names} from staged")
    elif tables.table.key:
        _merge_by_key(tables)
    else:
        _merge_as_bag(tables)
    tables.drop("staged")


def _merge_by_key(tables: PostgresTables) -> None:
    """Keep the last version of every key."""
    matches = (sql.SQL("target.{0} = staged.{0}").format(sql.Identifier(part)) for part in tables.table.key)
    tables.execute("delete from {raw} as target using staged where {matches}", matches=listed(matches, " and "))
    tables.insert(
        "raw",
        """
        select {names}
        from (select distinct on ({key}) * from staged order by {key}, _airbyte_sequence desc) as latest
        where _ab_cdc_deleted_at is null
        """,
    )


def _merge_as_bag(tables: PostgresTables) -> None:
    """Without a key rows that look the same are the same: as many of each stay as were there, came and did not go."""
    tables.keep(
        "changed",
        """
        select
            {row} as _airbyte_row,
            count(*) filter (where _ab_cdc_deleted_at is null)
                - count(*) filter (where _ab_cdc_deleted_at is not null) as _airbyte_surplus
        from staged
        group by {row}
        """,
        row=identity(tables.columns_of()),
    )
    tables.execute(
        """
        delete from {raw} where _airbyte_raw_id in (
            select _airbyte_raw_id
            from (
                select target._airbyte_raw_id, _airbyte_surplus, row_number() over (partition by _airbyte_row) as number
                from {raw} as target inner join changed on {row} = _airbyte_row
            ) as found
            where number <= - _airbyte_surplus
        )
        """,
        row=identity(tables.columns_of("target")),
    )
    tables.insert(
        "raw",
        """
        select {names}
        from (
            select
                target.*, _airbyte_surplus,
                row_number() over (partition by _airbyte_row order by _airbyte_sequence desc) as _airbyte_number
            from staged as target inner join changed on {row} = _airbyte_row
            where _ab_cdc_deleted_at is null
        ) as come
        where _airbyte_number <= _airbyte_surplus
        """,
        row=identity(tables.columns_of("target")),
    )
    tables.drop("changed")
