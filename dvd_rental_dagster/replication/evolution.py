"""What an ALTER TABLE at the source means for the rows that are in the warehouse.

The log tells a table's new columns before the first row that has them, by name and type, in the order of their numbers.
It tells neither the numbers nor what the statement did to the rows that were there; those come from the catalog, which
may be ahead of the log. What cannot be known from both is refused: only a full load can tell.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NoReturn

from psycopg import Connection

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import StreamTableError
from dvd_rental_dagster.replication.array import array_to_json
from dvd_rental_dagster.replication.column import Column, Kind
from dvd_rental_dagster.replication.ledger import StreamState

DROPPED = "_airbyte_dropped_"
"""How the name of a dropped column begins whose own another has taken."""


@dataclass(frozen=True)
class Attribute:
    """A column that the source's table has or had, by number.

    ``missing`` is the text of the value that rows from before the column have, if the source keeps one
    (PostgreSQL documentation, 52.7 "pg_attribute", attmissingval).
    """

    name: str
    type_oid: int
    dropped: bool
    has_default: bool
    missing: str | None


@dataclass(frozen=True)
class Evolution:
    """The columns after a change of the source's table, and what led to them, each empty where nothing did.

    ``renamed`` maps old names to new ones; ``missing`` holds the text that rows from before an added column have in it;
    ``retyped`` are the columns, under their new names, whose type became one that holds the same values.
    """

    columns: tuple[Column, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    added: tuple[Column, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    retyped: tuple[Column, ...] = ()

    def retired(self, held: Collection[str]) -> dict[str, str]:
        """New names for the dropped columns that a table has kept, where other columns take theirs.

        ``held`` names all of the table's columns; case does not count. No column of a source has such a new name.
        """
        came = {name.lower() for name in (*self.renamed.values(), *(column.name for column in self.added))}
        taken = came - {name.lower() for name in self.renamed}
        return _retired([name for name in held if name.lower() in taken], held)

    @property
    def changes_nothing(self) -> bool:
        """Whether the warehouse can stay as it is."""
        return not (self.renamed or self.dropped or self.added or self.retyped)


def moved_by_load(before: StreamState | None, after: Collection[Column], held: Collection[str]) -> dict[str, str]:
    """New names for columns that a table has kept, where a load brings columns whose names are theirs but for the case.

    ``before`` is the stream's state until now: what the table holds of a source beside its columns was dropped there.
    Of a stream that is not known every column goes on under its name.
    """
    names = {column.name.lower(): column.name for column in after}
    live = names if before is None else {column.name.lower() for column in before.columns}
    met = {name: names[name.lower()] for name in held if name.lower() in names}
    dropped = _retired([name for name in met if name.lower() not in live], held)
    return {old: new for old, new in {**met, **dropped}.items() if old != new}


def _retired(dropped: Collection[str], held: Collection[str]) -> dict[str, str]:
    """Names for dropped columns that no other of the table's has, or will have."""
    number = sum(name.lower().startswith(DROPPED) for name in held)
    return {name: f"{DROPPED}{count}_{name}" for count, name in enumerate(sorted(dropped), number + 1)}


def read_attributes(connection: Connection[Any], table_oid: int) -> dict[int, Attribute]:
    """Read the columns that the table has and had, by number; none when the table is gone."""
    rows = connection.execute(
        """
        select
            attnum, attname, atttypid::int8, attisdropped,
            atthasdef or attidentity <> '' or coalesce(typdefault is not null, false) as has_default,
            case
                when atttypid = 'pg_catalog.box'::regtype then btrim(attmissingval::text, '{}')  -- never quoted there
                else (attmissingval::text::text[])[1]
            end as missing
        from pg_catalog.pg_attribute
        left join pg_catalog.pg_type on pg_attribute.atttypid = pg_type.oid
        where attrelid = %s::oid and attnum > 0
        order by attnum
        """,
        (table_oid,),
    ).fetchall()
    return {number: Attribute(*fields) for number, *fields in rows}


def plan_evolution(
    stream: Stream, before: Sequence[Column], announced: Sequence[Column], attributes: Mapping[int, Attribute]
) -> Evolution:
    """Say how the columns became those that the log announces.

    Args:
        stream: whose columns they are, for the errors.
        before: the columns in the warehouse, with their numbers.
        announced: the log's columns, in its order, numbers not yet known.
        attributes: the source's catalog as it is now.

    Raises:
        StreamTableError: rows that are there changed in a way that the log does not tell.
    """
    after = _numbered(before, announced, attributes)
    by_number = {column.number: column for column in before if column.number}
    by_name = {column.name: column for column in before}
    stayed: set[str] = set()
    renamed: dict[str, str] = {}
    added: list[Column] = []
    retyped: list[Column] = []
    missing: dict[str, str] = {}
    for index, column in enumerate(after):
        old = by_number.get(column.number)
        namesake = by_name.get(column.name)
        if old is None and namesake is not None:
            if column.number and namesake.number:
                _refuse(stream, column.name, "was dropped and made again")
            old = namesake
        if old is None:
            added.append(column)
            missing |= _missing_value(stream, column, attributes)
            continue
        if not column.number:
            after[index] = replace(column, number=old.number)
        stayed.add(old.name)
        if old.name != column.name:
            renamed[old.name] = column.name
        if not old.keeps_values_as(column):
            _refuse(stream, column.name, f"became {_type_name(column)} and was {_type_name(old)}")
        if (old.kind, old.precision, old.scale) != (column.kind, column.precision, column.scale):
            retyped.append(column)
    _check_order(stream, after)
    dropped = tuple(column.name for column in before if column.name not in stayed)
    if dropped and any(not column.number for column in added):
        _refuse(stream, dropped[0], "was dropped or renamed, and the source no longer tells which")
    return Evolution(tuple(after), renamed, dropped, tuple(added), missing, tuple(retyped))


def _numbered(
    before: Sequence[Column], announced: Sequence[Column], attributes: Mapping[int, Attribute]
) -> list[Column]:
    """Give the announced columns their numbers, zero where nothing tells them.

    A column that has got another name since, or is gone, can only be one whose number fits where it stands. One that
    was gone before never comes back.
    """
    held_before = {column.number for column in before}
    gone = set() if 0 in held_before else set(range(1, max(held_before, default=0))) - held_before
    numbers = {(held.name, held.type_oid): number for number, held in attributes.items() if not held.dropped}
    columns = [replace(column, number=numbers.get((column.name, column.type_oid), 0)) for column in announced]
    known = [column.number for column in columns if column.number]
    if known != sorted(known):
        return [replace(column, number=0) for column in columns]  # names have changed hands since
    for index, column in enumerate(columns):
        if not column.number:
            after = max((other.number for other in columns[:index]), default=0)
            until = next((other.number for other in columns[index:] if other.number), max(attributes, default=0) + 1)
            candidates = [
                number
                for number, held in attributes.items()
                if after < number < until
                and number not in gone
                and (held.dropped or held.type_oid == column.type_oid or held.name == column.name)
            ]
            if len(candidates) == 1:
                columns[index] = replace(column, number=candidates[0])
    return columns


def _check_order(stream: Stream, columns: Sequence[Column]) -> None:
    """Refuse columns whose numbers do not grow, as they do in the log: a name was taken for that of another column."""
    for column, follower in pairwise(column for column in columns if column.number):
        if column.number >= follower.number:
            _refuse(stream, follower.name, "has a name that changed hands, and the source no longer tells how")


def _missing_value(stream: Stream, column: Column, attributes: Mapping[int, Attribute]) -> dict[str, str]:
    """The value of an added column in rows from before it: the source's note, or null where it has no default."""
    attribute = attributes.get(column.number)
    if attribute is None and any(not other.dropped for other in attributes.values()):
        _refuse(stream, column.name, "was added and has another name since")
    if attribute is None or attribute.dropped:
        return {}
    if attribute.missing is not None:
        is_array = column.kind is Kind.ARRAY
        return {column.name: array_to_json(attribute.missing, column.element) if is_array else attribute.missing}
    if attribute.has_default:
        _refuse(stream, column.name, "was added with a default, and the log does not carry what older rows got")
    return {}


def _type_name(column: Column) -> str:
    if column.precision:
        return f"{column.pg_type}({column.precision},{column.scale})"
    return column.pg_type if column.modifier == -1 else f"{column.pg_type} (modifier {column.modifier})"


def _refuse(stream: Stream, column: str, what: str) -> NoReturn:
    raise StreamTableError(
        f"Column {column} of {stream.source_name} {what}. That can change rows without a word in the log. "
        f"Load the stream again: dvd-rental resync {stream.name}."
    )
