"""Changed columns of one stream in Snowflake.

``raw`` follows the source. ``history`` keeps every version as it was: a dropped column stays, null in later versions
and under another name where its own is taken, and a column whose type changed takes a type that holds the old values
and the new. Columns are added, and numbers widened, at once, for that changes no row; all else makes the table anew.
"""

from collections.abc import Mapping

import pyarrow as pa

from dvd_rental_dagster.replication.destinations.snowflake_tables import SnowflakeTables
from dvd_rental_dagster.replication.destinations.snowflake_types import (
    common_type,
    converted,
    folded,
    instant,
    literal,
    quoted,
    read,
    staged,
    widens_in_place,
)
from dvd_rental_dagster.replication.evolution import Evolution


def evolve(tables: SnowflakeTables, evolution: Evolution, lsn: int, committed_at: int) -> None:
    """Bring the stream's tables to the columns of ``tables``; see ``Destination.evolve``."""
    renamed = {folded(old): folded(new) for old, new in evolution.renamed.items() if folded(old) != folded(new)}
    for schema in ("RAW", "HISTORY"):
        if schema == "HISTORY" or tables.appends:
            retired = evolution.retired(tables.held(schema))
            widen(tables, schema, renamed | {old: folded(new) for old, new in retired.items()})
        else:
            names = {name: renamed.get(name, name) for name in tables.held(schema)}
            dropped = {folded(name) for name in evolution.dropped}
            sources = {new: old for old, new in names.items() if new in tables.wanted and old not in dropped}
            _reshape(tables, schema, tables.wanted, sources)
    if evolution.missing:
        _fill_missing(tables, evolution, lsn, committed_at)


def widen(tables: SnowflakeTables, schema: str, moved: Mapping[str, str]) -> None:
    """Add the columns that the schema's table lacks, and let each hold what it held and what it has to hold now.

    ``moved`` maps old names to new ones.
    """
    held = tables.held(schema)
    sources = {moved.get(name, name): name for name in held}
    columns = {new: held[old] for new, old in sources.items()}
    for name, wanted in tables.wanted.items():
        columns[name] = common_type(columns[name], wanted) if name in columns else wanted
    _reshape(tables, schema, columns, sources)


def _reshape(tables: SnowflakeTables, schema: str, columns: Mapping[str, str], sources: Mapping[str, str]) -> None:
    """Give the schema's table exactly these columns, each with the values of the one that ``sources`` has for it."""
    held = tables.held(schema)
    kept = all(sources.get(name) == name for name in held) and set(held) <= set(columns)
    if not kept or not all(widens_in_place(held[name], columns[name]) for name in held if held[name] != columns[name]):
        values = {new: converted(quoted(old), held[old], columns[new]) for new, old in sources.items()}
        tables.replace(schema, columns, values)
        return
    for name, data_type in columns.items():
        if name not in held:
            tables.add(schema, name, data_type)
        elif held[name] != data_type:
            tables.widen(schema, name, data_type)


def _fill_missing(tables: SnowflakeTables, evolution: Evolution, lsn: int, committed_at: int) -> None:
    """Write a version of every row with the value that the source gives the added columns in rows from before it."""
    given = {}
    for column in tables.table.columns:
        if column.name in evolution.missing:
            [text] = staged(tables.stream, column, pa.array([evolution.missing[column.name]]))
            name = folded(column.name)
            given[name] = read(f"{literal(str(text))}::varchar", tables.wanted[name])
    before = {name: quoted(name) for name in tables.wanted}
    values = before | given
    held = tables.held("RAW")
    types = held | {name: tables.wanted[name] for name in given}
    for schema in ("HISTORY", "RAW"):
        row = tables.row(schema, values, types, lsn=str(lsn), updated_at=instant(committed_at))
        if schema == "HISTORY" or tables.appends:
            tables.insert(schema, row, f"{tables.live()} as live")
            if not tables.key:  # a row is its values, so the one without the new value goes
                gone = tables.row(
                    schema,
                    before,
                    held,
                    lsn=str(lsn),
                    updated_at=instant(committed_at),
                    deleted_at=instant(committed_at),
                )
                tables.insert(schema, gone, f"{tables.live()} as live where {quoted(next(iter(given)))} is null")
        else:
            tables.later(
                f"update {tables.relation(schema)} set"
                f" {', '.join(f'{quoted(name)} = {value}' for name, value in row.items() if value != quoted(name))}"
            )
