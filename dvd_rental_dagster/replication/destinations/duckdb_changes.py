"""Changes of one stream merged into a DuckDB file: staged in the log's order, completed, and written to both tables."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dvd_rental_dagster.replication.destinations.duckdb_tables import SCHEMAS, StreamTables
from dvd_rental_dagster.replication.destinations.duckdb_types import cast_from_text, column_type, quoted
from dvd_rental_dagster.replication.destinations.last_versions import last_versions
from dvd_rental_dagster.replication.destinations.parts import resolvable_parts
from dvd_rental_dagster.replication.destinations.raw_ids import raw_ids
from dvd_rental_dagster.replication.failpoint import FailPoint, reach
from dvd_rental_dagster.replication.rows import Changes, Operation

_SEQUENCE = "_airbyte_sequence"
_UNCHANGED = "_airbyte_unchanged_"


def apply(tables: StreamTables, changes: Changes) -> None:
    """Apply changes; see ``Destination.apply``."""
    are_whole = not changes.unchanged
    if are_whole and (tables.appends or changes.are_inserts):
        _insert(tables, changes)
    elif are_whole and tables.table.key:
        _replace(tables, changes)
    else:
        _apply_staged(tables, changes)


def truncate(tables: StreamTables, lsn: int, committed_at: int) -> int:
    """Empty the stream; see ``Destination.truncate``."""
    at = f"make_timestamptz({committed_at})"
    row = tables.row(tables.columns, str(lsn), at, at)
    tables.execute(f"create or replace temp table emptied as select {row} from {tables.live()}")
    count = tables.insert("history", f"select {tables.names} from emptied")
    reach(FailPoint.IN_APPLY)
    if tables.appends:
        tables.insert("raw", f"select {tables.names} from emptied")
    else:
        tables.execute(f"delete from raw.{tables.name}")
    tables.execute("drop table emptied")
    return count


def _insert(tables: StreamTables, changes: Changes) -> None:
    """Write every version to both tables."""
    arrays, row = _arrow_rows(tables, changes)
    for schema in SCHEMAS:
        tables.insert(schema, f"select {row} from given_rows", arrays)
        reach(FailPoint.IN_APPLY)


def _replace(tables: StreamTables, changes: Changes) -> None:
    """Write every version to ``history``, and the last of each key to ``raw``, in the place of the one before."""
    arrays, row = _arrow_rows(tables, changes)
    tables.insert("history", f"select {row} from given_rows", arrays)
    reach(FailPoint.IN_APPLY)
    is_last, is_held = last_versions(changes, tables.table.key)
    is_there = is_last & (changes.operation != Operation.DELETE)
    if is_held.any():
        _delete(tables, arrays.append_column("is_held", pa.array(is_held)))
    if is_there.any():
        flagged = arrays.append_column("is_there", pa.array(is_there))
        tables.insert("raw", f"select {row} from given_rows where is_there", flagged)


def _delete(tables: StreamTables, arrays: pa.Table) -> None:
    """Delete from ``raw`` the rows whose keys are flagged."""
    key = {
        quoted(column.name): cast_from_text(column, f"value_{number}")
        for number, column in enumerate(tables.table.columns)
        if column.name in tables.table.key
    }
    held = ", ".join(f"{value} as {name}" for name, value in key.items())
    matches = " and ".join(f"target.{name} = held.{name}" for name in key)
    tables.execute(
        f"""
        with held as (select {held} from given_rows where is_held)
        delete from raw.{tables.name} as target using held where {matches}
        """,
        arrays,
    )


def _apply_staged(tables: StreamTables, changes: Changes) -> None:
    """Apply changes of which one needs what came before it: a value left out as unchanged, or a row without a key."""
    for part, rekeyed in resolvable_parts(changes):
        _stage(tables, part)
        if rekeyed:
            _fill_from_old_key(tables, tuple(part.unchanged))
        elif part.unchanged:
            _fill_unchanged(tables, tuple(part.unchanged))
        _merge(tables)


def _stage(tables: StreamTables, changes: Changes) -> None:
    """Cast the changes into the temporary table ``staged``, one row a change."""
    arrays, row = _arrow_rows(tables, changes)
    flags = "".join(
        f", unchanged_{number} as {quoted(_UNCHANGED + name)}" for number, name in enumerate(changes.unchanged)
    )
    tables.execute(
        f"create or replace temp table staged as select {row}, sequence as {_SEQUENCE}{flags} from given_rows", arrays
    )


def _arrow_rows(tables: StreamTables, changes: Changes) -> tuple[pa.Table, str]:
    """The changes as text, and the select list that makes rows of the contract of them."""
    arrays: dict[str, pa.Array] = {}
    values: list[str] = []
    for number, column in enumerate(tables.table.columns):
        if column.name in changes.columns:
            arrays[f"value_{number}"] = changes.columns[column.name]
            values.append(cast_from_text(column, f"value_{number}"))
        else:
            values.append(f"cast(null as {column_type(column)})")
    for number, mask in enumerate(changes.unchanged.values()):
        arrays[f"unchanged_{number}"] = pa.array(mask)
    arrays |= {
        "raw_id": raw_ids(len(changes)),
        "sequence": pa.array(np.arange(len(changes))),
        "operation": pa.array(changes.operation),
        "lsn": pa.array(changes.lsn),
        "committed_at": pa.array(changes.committed_at),
    }
    at = "make_timestamptz(committed_at)"
    deleted_at = f"case when operation = {Operation.DELETE} then {at} end"
    return pa.table(arrays), tables.row(values, "lsn", at, deleted_at, raw_id="raw_id")


def _fill_unchanged(tables: StreamTables, names: Sequence[str]) -> None:
    """Give a value that the log left out as unchanged the last value before it: staged, or in the warehouse."""
    key = _key(tables)
    columns = ", ".join(quoted(column) for column in names)
    flags = ", ".join(quoted(_UNCHANGED + column) for column in names)
    held = ", ".join(f"false as {quoted(_UNCHANGED + column)}" for column in names)
    window = f"over (partition by {key} order by {_SEQUENCE} rows unbounded preceding)"
    filled = ", ".join(
        f"last_value(case when not {quoted(_UNCHANGED + column)} then {{'value': {quoted(column)}}} end"
        f" ignore nulls) {window} as {quoted(column)}"
        for column in names
    )
    assigned = ", ".join(f"{quoted(column)} = filled.{quoted(column)}.value" for column in names)
    tables.execute(
        f"""
        with held as (
            select {key}, {columns}, -1 as {_SEQUENCE}, {held}
            from {tables.latest()} semi join staged using ({key})
        ),
        versions as (
            select {key}, {columns}, {_SEQUENCE}, {flags} from held
            union all
            select {key}, {columns}, {_SEQUENCE}, {flags} from staged
        ),
        filled as (select {_SEQUENCE}, {filled} from versions)
        update staged set {assigned} from filled
        where staged.{_SEQUENCE} = filled.{_SEQUENCE} and filled.{_SEQUENCE} >= 0
        """
    )


def _fill_from_old_key(tables: StreamTables, names: Sequence[str]) -> None:
    """Give the second staged row, which changed its key, what the warehouse holds for the first, its old key."""
    columns = ", ".join(quoted(column) for column in names)
    assigned = ", ".join(f"{quoted(column)} = held.{quoted(column)}" for column in names)
    tables.execute(
        f"""
        with old_key as (select * from staged where {_SEQUENCE} = 0),
        held as (select {columns} from {tables.latest()} semi join old_key using ({_key(tables)}))
        update staged set {assigned} from held where staged.{_SEQUENCE} = 1
        """
    )


def _merge(tables: StreamTables) -> None:
    """Write what is staged to ``history``, and to ``raw`` what the stream's mode keeps of it."""
    staged = f"select {tables.names} from staged"
    tables.insert("history", staged)
    reach(FailPoint.IN_APPLY)
    if tables.appends:
        tables.insert("raw", staged)
    elif tables.table.key:
        _merge_by_key(tables)
    else:
        _merge_as_bag(tables)


def _merge_by_key(tables: StreamTables) -> None:
    """Keep the last version of every key."""
    key = [quoted(part) for part in tables.table.key]
    matches = " and ".join(f"target.{part} = staged.{part}" for part in key)
    tables.execute(f"delete from raw.{tables.name} as target using staged where {matches}")
    tables.insert(
        "raw",
        f"""
        with latest as (
            select * from staged qualify row_number() over (partition by {", ".join(key)} order by {_SEQUENCE} desc) = 1
        )
        select {tables.names} from latest where _ab_cdc_deleted_at is null
        """,
    )


def _merge_as_bag(tables: StreamTables) -> None:
    """Without a key rows that look the same are the same: as many of each stay as were there, came and did not go."""
    columns = ", ".join(tables.columns)
    of_target = ", ".join(f"target.{column}" for column in tables.columns)
    same = " and ".join(f"target.{column} is not distinct from changed.{column}" for column in tables.columns)
    tables.execute(
        f"""
        create or replace temp table changed as
        select
            {columns},
            count(*) filter (_ab_cdc_deleted_at is null) - count(*) filter (_ab_cdc_deleted_at is not null)
                as _airbyte_surplus
        from staged
        group by {columns}
        having _airbyte_surplus <> 0
        """
    )
    tables.execute(
        f"""
        with going as (
            select target._airbyte_raw_id
            from raw.{tables.name} as target
            inner join changed on {same}
            qualify row_number() over (partition by {of_target}) <= - changed._airbyte_surplus
        )
        delete from raw.{tables.name} where _airbyte_raw_id in (select _airbyte_raw_id from going)
        """
    )
    tables.insert(
        "raw",
        f"""
        select {", ".join(f"target.{column}" for column in tables.all_columns)}
        from staged as target
        inner join changed on {same}
        where target._ab_cdc_deleted_at is null
        qualify
            row_number() over (partition by {of_target} order by target.{_SEQUENCE} desc)
            <= changed._airbyte_surplus
        """,
    )
    tables.execute("drop table changed")


def _key(tables: StreamTables) -> str:
    return ", ".join(quoted(part) for part in tables.table.key)
