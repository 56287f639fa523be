"""Changed columns of one stream in a PostgreSQL warehouse.

``raw`` follows the source. ``history`` keeps every version as it was: a dropped column stays, null in later versions
and under another name where its own is taken, and a column whose type changed takes a type that holds the old values
and the new.
"""

from collections.abc import Mapping

from psycopg import sql

from dvd_rental_dagster.replication.destinations.postgres_tables import NEVER, SCHEMAS, PostgresTables
from dvd_rental_dagster.replication.destinations.postgres_types import column_type, common_type, instant, type_name
from dvd_rental_dagster.replication.evolution import Evolution


def evolve(tables: PostgresTables, evolution: Evolution, lsn: int, committed_at: int) -> None:
    """Bring the stream's tables to the columns of ``tables``; see ``Destination.evolve``."""
    if not tables.appends:
        for name in evolution.dropped:
            _alter(tables, "raw", "drop column {column}", column=sql.Identifier(name))
    for schema in SCHEMAS:
        widen(tables, schema, {**evolution.renamed, **evolution.retired(tables.types(schema))})
    if evolution.missing:
        _fill_missing(tables, evolution, lsn, committed_at)


def widen(tables: PostgresTables, schema: str, moved: Mapping[str, str]) -> None:
    """Add the columns that the schema's table lacks, and let each hold what it held and what it has to hold now.

    ``moved`` maps old names to new ones.
    """
    _rename(tables, schema, moved)
    held = tables.types(schema)
    for column in tables.table.columns:
        wanted, name = column_type(column), sql.Identifier(column.name)
        if column.name not in held:
            _alter(tables, schema, "add column {column} {type}", column=name, type=type_name(wanted))
        elif (common := common_type(held[column.name], wanted)) != held[column.name]:
            change = "alter column {column} type {type} using {column}::{type}"
            _alter(tables, schema, change, column=name, type=type_name(common))


def _rename(tables: PostgresTables, schema: str, moved: Mapping[str, str]) -> None:
    """Rename columns, from old names to new, in two steps, for names may change hands."""
    between = {old: sql.Identifier(f"_airbyte_renamed_{number}") for number, old in enumerate(moved)}
    for old in moved:
        _alter(tables, schema, "rename column {old} to {new}", old=sql.Identifier(old), new=between[old])
    for old, new in moved.items():
        _alter(tables, schema, "rename column {old} to {new}", old=between[old], new=sql.Identifier(new))


def _fill_missing(tables: PostgresTables, evolution: Evolution, lsn: int, committed_at: int) -> None:
    """Write a version of every row with the value that the source gives the added columns in rows from before."""
    values = [
        sql.SQL("{}::{}").format(sql.Literal(evolution.missing[column.name]), type_name(column_type(column)))
        if column.name in evolution.missing
        else sql.Identifier(column.name)
        for column in tables.table.columns
    ]
    at = instant(sql.Literal(committed_at))
    rows = {"row": tables.row(values, sql.Literal(lsn), at, NEVER), "live": tables.live()}
    query = "select {row} from {live} as live"
    if not tables.table.key:  # a row is its values, so the one without the new value goes
        rows["gone"] = tables.row(tables.columns_of(), sql.Literal(lsn), at, at)
        query += " union all select {gone} from {live} as live"
    tables.keep("filled", query, **rows)
    tables.insert("history", "select {names} from filled")
    if tables.appends:
        tables.insert("raw", "select {names} from filled")
    else:
        tables.execute("delete from {raw}")
        tables.insert("raw", "select {names} from filled where _ab_cdc_deleted_at is null")
    tables.drop("filled")


def _alter(tables: PostgresTables, schema: str, change: str, **parts: sql.Composable) -> None:
    tables.execute("alter table {table} " + change, table=tables.relation(schema), **parts)
