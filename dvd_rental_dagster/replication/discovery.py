"""What of a database can be replicated: its tables as streams, with remarks, and what is left out and why."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import CatalogError
from dvd_rental_dagster.replication.key import read_keys
from dvd_rental_dagster.replication.table import name_conflict

_GENERATED_IDENTITY_REFUSED = 180000
_KINDS = {
    "v": "a view: the log tells the changes of the tables below it",
    "m": "a materialized view: its refreshes are not in the log",
    "f": "a foreign table: its rows are in another server's log",
}
_PERSISTENCES = {
    "t": "a temporary table",
    "u": "an unlogged table: its changes are not in the log (alter table … set logged changes that)",
}
_FIND_RELATIONS = """
    select
        namespace.nspname as schema_name,
        class.relname as relation_name,
        class.relkind::text,
        class.relpersistence::text,
        extension.extname,
        class.relreplident::text,
        array(
            select attribute.attname::text
            from pg_catalog.pg_attribute as attribute
            where
                attribute.attrelid = class.oid
                and attribute.attnum > 0
                and not attribute.attisdropped
                and attribute.attgenerated = ''
            order by attribute.attnum
        ) as columns,
        array(
            select attribute.attname::text
            from pg_catalog.pg_attribute as attribute
            where attribute.attrelid = class.oid and not attribute.attisdropped and attribute.attgenerated <> ''
            order by attribute.attnum
        ) as generated,
        exists (
            select 1 from pg_catalog.pg_index as key where key.indrelid = class.oid and key.indisprimary
        ) as has_primary_key,
        partitions.number,
        partitions.unlogged
    from pg_catalog.pg_class as class
    inner join pg_catalog.pg_namespace as namespace on class.relnamespace = namespace.oid
    left join pg_catalog.pg_depend as dependency
        on
            dependency.classid = 'pg_catalog.pg_class'::regclass
            and class.oid = dependency.objid
            and dependency.refclassid = 'pg_catalog.pg_extension'::regclass
            and dependency.deptype = 'e'
    left join pg_catalog.pg_extension as extension on dependency.refobjid = extension.oid
    cross join lateral (
        select
            count(*) filter (where tree.isleaf) as number,
            min(part.oid::regclass::text) filter (where part.relkind = 'f' or part.relpersistence <> 'p') as unlogged
        from pg_catalog.pg_partition_tree(class.oid) as tree
        inner join pg_catalog.pg_class as part on tree.relid = part.oid
        where class.relkind = 'p' and tree.relid <> class.oid
    ) as partitions
    where
        class.relkind in ('r', 'p', 'v', 'm', 'f')
        and not class.relispartition
        and (namespace.nspname !~ '^pg_' or (class.relpersistence = 't' and class.relkind in ('r', 'p')))
        and namespace.nspname <> 'information_schema'
        and (%(schemas)s::text[] is null or namespace.nspname = any(%(schemas)s::text[]))
    order by namespace.nspname, class.relname
"""


@dataclass(frozen=True)
class Discovery:
    """What was found: ``notes`` are remarks on streams, by name; ``left_out`` maps other relations to the reason."""

    streams: tuple[Stream, ...]
    notes: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class _Relation:
    namespace: str
    name: str
    kind: str
    persistence: str
    extension: str | None
    identity: str
    columns: Sequence[str]
    generated: Sequence[str]
    has_primary_key: bool
    partitions: int
    unlogged_partition: str | None

    @property
    def place(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


def discover(connection: Connection[Any], schemas: Collection[str] = (), known: Collection[Stream] = ()) -> Discovery:
    """Find the tables that can be replicated, in all schemas but PostgreSQL's own.

    Partitions travel with the table that they are partitions of. A table keeps the name and mode that it has in
    ``known``; another has its own name, with the schema before it where two would be the same.

    Args:
        connection: the source.
        schemas: look into these alone.
        known: the streams of an earlier catalog.

    Raises:
        CatalogError: one of ``schemas`` does not exist, or nothing that can be replicated was found.
    """
    _check_schemas(connection, schemas)
    keys = read_keys(connection)
    relations = [
        _Relation(*fields) for fields in connection.execute(_FIND_RELATIONS, {"schemas": list(schemas) or None})
    ]
    columns = {place: found[0].columns for place, found in keys.items()}
    left_out: dict[str, str] = {}
    tables: list[_Relation] = []
    for relation in relations:
        reason = _reason_against(relation, columns.get(relation.place, ()), connection.info.server_version)
        if reason:
            left_out[".".join(relation.place)] = reason
        else:
            tables.append(relation)
    if not tables:
        raise CatalogError(
            f"The database {connection.info.dbname} has no table that can be replicated"
            f"{' in ' + ', '.join(sorted(schemas)) if schemas else ''}. Name another with DVD_RENTAL_SOURCE_URL."
        )
    before = {stream.source_table: stream for stream in known}
    names = _names([table.place for table in tables], {place: stream.name for place, stream in before.items()})
    streams = []
    notes: dict[str, tuple[str, ...]] = {}
    for table in tables:
        name = names[table.place]
        key = columns.get(table.place, ())
        mode = before[table.place].mode if table.place in before else Stream.mode
        renamed = "" if name == table.name else table.name
        streams.append(Stream(name, key, table.namespace, mode, renamed))
        if remarks := tuple(_remarks(table, key)):
            notes[name] = remarks
    return Discovery(tuple(streams), notes, left_out)


def _check_schemas(connection: Connection[Any], schemas: Collection[str]) -> None:
    found = [
        name
        for (name,) in connection.execute(
            "select nspname from pg_catalog.pg_namespace"
            " where nspname !~ '^pg_' and nspname <> 'information_schema' order by nspname"
        )
    ]
    if missing := sorted(set(schemas) - set(found)):
        raise CatalogError(
            f"The database {connection.info.dbname} has no schema {', '.join(missing)}. "
            f"Name one of {', '.join(found)}; upper and lower case differ."
        )


def _reason_against(relation: _Relation, key: Sequence[str], server_version: int) -> str | None:
    """Why the relation cannot be replicated; none when it can."""
    if relation.extension is not None:
        return f"belongs to the extension {relation.extension}"
    if reason := _PERSISTENCES.get(relation.persistence) or _KINDS.get(relation.kind):
        return reason
    if relation.unlogged_partition is not None:
        return f"its partition {relation.unlogged_partition} is foreign or unlogged, and the log lacks its changes"
    if not key and relation.generated and server_version >= _GENERATED_IDENTITY_REFUSED:
        return (
            f"has no primary key and the generated column {relation.generated[0]}: PostgreSQL 18 refuses updates and "
            "deletes of such a table while it is published. Give it a primary key, or: alter table … alter column "
            f"{relation.generated[0]} drop expression"
        )
    return name_conflict(relation.columns) if relation.columns else "has no column that the log carries"


def _remarks(table: _Relation, key: Sequence[str]) -> list[str]:
    """What to know about a stream before it is replicated."""
    remarks = []
    if table.kind == "p":
        remarks.append(
            f"Partitioned, {table.partitions} partitions. The log does not tell when one of them is truncated, dropped,"
            " attached or detached by itself: load the stream again after that."
        )
    if not key:
        remarks.append(
            ("Its primary key is deferrable or generated, so the log cannot use it." if table.has_primary_key
             else "No primary key.")
            + " Rows are told apart by all their columns, and it is published with replica identity full; with the"
            " default identity PostgreSQL would let it only be inserted into. Better, if you can: alter table … add"
            " primary key, or a unique index over columns that are not null; then discover again."
        )  # fmt: skip
    elif not table.has_primary_key:
        remarks.append("No primary key; a unique index stands for it: published with replica identity using index.")
    if table.generated:
        remarks.append(f"Generated, so not in the log and not replicated: {', '.join(table.generated)}.")
    return remarks


def _names(tables: Sequence[tuple[str, str]], known: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Give every table a name that differs from all others by more than case."""
    names = {table: known[table] for table in tables if table in known}
    taken = {name.lower() for name in names.values()}
    others = [table for table in tables if table not in known]
    bare = [name.lower() for _, name in others]
    for table in others:
        namespace, name = table
        unique = bare.count(name.lower()) == 1 and name.lower() not in taken
        base = name if unique else f"{namespace}_{name}"
        candidate, number = base, 2
        while candidate.lower() in taken or (not unique and candidate.lower() in bare):
            candidate, number = f"{base}_{number}", number + 1
        names[table] = candidate
        taken.add(candidate.lower())
    return names
