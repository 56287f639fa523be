"""Replica identities: what the log says of the old row of an update or delete (ALTER TABLE, "REPLICA IDENTITY").

A table with a primary key says the key, one with another unique index in its place says that index's columns, and one
without either says the whole row. With ``Capture.full_identity`` the whole row is also said by tables that can hold a
value out of line, which are those with a TOAST relation (in DVD Rental film and staff): without it an update that
leaves such a value alone does not carry it, and Airbyte writes a placeholder in its place. A table that says the whole
row already keeps to it.

Two kinds of table with a key never say the whole row. With a generated column PostgreSQL 18 refuses their updates while
they are published. Partitioned, partitions made later would say less than the root announces. What the root says, every
partition has to say too, for the log takes the old row from the partition and its form from the root.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication.key import Key, matching_key, read_keys
from dvd_rental_dagster.source.capture import Capture, Step, change

_BY_KEY, _BY_INDEX, _FULL = "d", "i", "f"
_FIND_MEMBERS = """
    select
        wanted.schema_name,
        wanted.table_name,
        member_namespace.nspname,
        member.relname,
        member.relreplident::text,
        (
            select index_class.relname
            from pg_index
            inner join pg_class as index_class on pg_index.indexrelid = index_class.oid
            where pg_index.indrelid = member.oid and pg_index.indisreplident
        ) as identity_index,
        member.reltoastrelid <> 0 as stores_out_of_line,
        exists (
            select 1 from pg_attribute where attrelid = member.oid and attgenerated <> '' and not attisdropped
        ) as generates,
        root.relkind = 'p' as partitioned
    from unnest(%(schemas)s::text[], %(tables)s::text[]) as wanted (schema_name, table_name)
    inner join pg_namespace on wanted.schema_name = pg_namespace.nspname
    inner join pg_class as root
        on pg_namespace.oid = root.relnamespace and wanted.table_name = root.relname
    cross join lateral (
        select root.oid
        union
        select tree.relid from pg_partition_tree(root.oid) as tree where root.relkind = 'p'
    ) as members
    inner join pg_class as member on members.oid = member.oid
    inner join pg_namespace as member_namespace on member.relnamespace = member_namespace.oid
    order by 1, 2, 3, 4
"""


@dataclass(frozen=True)
class _Member:
    """A stream's table or one of its partitions."""

    namespace: str
    name: str
    identity: str
    identity_index: str | None
    stores_out_of_line: bool
    generates: bool
    partitioned: bool


def set_identities(connection: Connection[Any], capture: Capture) -> Step:
    """Set the replica identities of the streams' tables and their partitions where they are others.

    Raises:
        PreparationError: the connection's role does not own a table.
    """
    streams = {stream.source_table: stream for stream in capture.streams}
    keys = read_keys(connection)
    wanting = [
        (member, index, wanted)
        for stream, member in _members(connection, capture, streams)
        for index, wanted in [_wanted(capture, stream, member, keys.get(stream.source_table, []))]
        if (wanted, index) != (member.identity, member.identity_index if wanted == _BY_INDEX else None)
    ]
    for member, index, wanted in wanting:
        identity = (
            sql.SQL("using index {}").format(sql.Identifier(index))
            if index is not None
            else sql.SQL("full" if wanted == _FULL else "default")
        )
        table = sql.Identifier(member.namespace, member.name)
        change(connection, sql.SQL("alter table {} replica identity {}").format(table, identity))
    return Step("replica identity", "every row of the log can be found", changed=bool(wanting))


def _members(
    connection: Connection[Any], capture: Capture, streams: dict[tuple[str, str], Stream]
) -> Iterator[tuple[Stream, _Member]]:
    for schema, table, *fields in connection.execute(_FIND_MEMBERS, capture.places).fetchall():
        yield streams[schema, table], _Member(*fields)


def _wanted(capture: Capture, stream: Stream, member: _Member, keys: list[Key]) -> tuple[str | None, str]:
    """The index that the identity goes by, where it is no primary key, and the identity as ``pg_class`` has it."""
    if not stream.primary_key:
        return None, _FULL
    says_whole_row = member.identity == _FULL or (capture.full_identity and member.stores_out_of_line)
    if says_whole_row and not member.generates and not member.partitioned:
        return None, _FULL
    key = matching_key(keys, stream.primary_key)
    if key is None or key.primary:
        return None, _BY_KEY
    return key.index, _BY_INDEX
