"""Changed columns of one stream in a DuckDB file.

``raw`` follows the source. ``history`` keeps every version as it was: a dropped column stays, null in later versions
and under another name where its own is taken, and a column whose type changed takes a type that holds the old values
and the new.
"""

import re
from collections.abc import Mapping

from dvd_rental_dagster.replication.destinations.duckdb_tables import SCHEMAS, StreamTables
from dvd_rental_dagster.replication.destinations.duckdb_types import cast_from_text, column_type, quoted
from dvd_rental_dagster.replication.evolution import Evolution

_INTEGERS = ("smallint", "integer", "bigint")
_DECIMAL = re.compile(r"decimal\((\d+), ?(\d+)\)")
_MAX_PRECISION = 38


def evolve(tables: StreamTables, evolution: Evolution, lsn: int, committed_at: int) -> None:
    """Bring the stream's tables to the columns of ``tables``; see ``Destination.evolve``."""
    if not tables.appends:
        for name in evolution.dropped:
            _alter(tables, "raw", f"drop column {quoted(name)}")
    for schema in SCHEMAS:
        widen(tables, schema, {**evolution.renamed, **evolution.retired(tables.types(schema))})
    if evolution.missing:
        _fill_missing(tables, evolution, lsn, committed_at)


def widen(tables: StreamTables, schema: str, moved: Mapping[str, str]) -> None:
    """Add the columns that the schema's table lacks, and let each hold what it held and what it has to hold now.

    ``moved`` maps old names to new ones.
    """
    _rename(tables, schema, moved)
    held = tables.types(schema)
    for column in tables.table.columns:
        wanted = column_type(column)
        if column.name not in held:
            _alter(tables, schema, f"add column {quoted(column.name)} {wanted}")
        elif (common := common_type(held[column.name], wanted)) != held[column.name]:
            _alter(tables, schema, f"alter column {quoted(column.name)} set data type {common}")


def common_type(first: str, second: str) -> str:
    """The smallest type of DuckDB's that holds the values of both as they are; text where no other does."""
    if first == second:
        return first
    if first in _INTEGERS and second in _INTEGERS:
        return max(first, second, key=_INTEGERS.index)
    decimals = _DECIMAL.fullmatch(first), _DECIMAL.fullmatch(second)
    if decimals[0] and decimals[1]:
        (one, one_scale), (other, other_scale) = (tuple(map(int, found.groups())) for found in decimals if found)
        scale = max(one_scale, other_scale)
        precision = max(one - one_scale, other - other_scale) + scale
        if precision <= _MAX_PRECISION:
            return f"decimal({precision},{scale})"
    return "varchar"


def _rename(tables: StreamTables, schema: str, moved: Mapping[str, str]) -> None:
    """Rename columns, from old names to new, in two steps, for names may change hands."""
    for old in moved:
        _alter(tables, schema, f"rename column {quoted(old)} to {quoted('_airbyte_renamed_' + old)}")
    for old, new in moved.items():
        _alter(tables, schema, f"rename column {quoted('_airbyte_renamed_' + old)} to {quoted(new)}")


def _fill_missing(tables: StreamTables, evolution: Evolution, lsn: int, committed_at: int) -> None:
    """Write a version of every row with the value that the source gives the added columns in rows from before."""
    columns = {column.name: column for column in tables.table.columns}
    values = [
        cast_from_text(columns[name], "'" + evolution.missing[name].replace("'", "''") + "'")
        if name in evolution.missing
        else quoted(name)
        for name in columns
    ]
    at = f"make_timestamptz({committed_at})"
    filled = f"select {tables.row(values, str(lsn), at, 'cast(null as timestamptz)')} from {tables.live()}"
    if not tables.table.key:  # a row is its values, so the one without the new value goes
        filled += f" union all select {tables.row(tables.columns, str(lsn), at, at)} from {tables.live()}"
    tables.execute(f"create or replace temp table filled as {filled}")
    tables.insert("history", f"select {tables.names} from filled")
    if tables.appends:
        tables.insert("raw", f"select {tables.names} from filled")
    else:
        tables.execute(f"delete from raw.{tables.name}")
        tables.insert("raw", f"select {tables.names} from filled where _ab_cdc_deleted_at is null")
    tables.execute("drop table filled")


def _alter(tables: StreamTables, schema: str, change: str) -> None:
    tables.execute(f"alter table {schema}.{tables.name} {change}")
