"""The unique indexes by which the log can tell the rows of a table apart.

PostgreSQL documentation, ALTER TABLE, "REPLICA IDENTITY": unique, not partial, not deferrable, over columns that are
never null. Generated columns do not count, for the log does not carry them.
"""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

_FIND_KEYS = """
    select
        namespace.nspname as schema_name,
        class.relname as table_name,
        index_class.relname as index_name,
        array_agg(attribute.attname::text order by part.place) as columns,
        key.indisprimary
    from pg_catalog.pg_index as key
    inner join pg_catalog.pg_class as class on key.indrelid = class.oid
    inner join pg_catalog.pg_class as index_class on key.indexrelid = index_class.oid
    inner join pg_catalog.pg_namespace as namespace on class.relnamespace = namespace.oid
    cross join lateral unnest(key.indkey::int2[]) with ordinality as part (attnum, place)
    left join pg_catalog.pg_attribute as attribute
        on
            class.oid = attribute.attrelid
            and part.attnum = attribute.attnum
            and attribute.attnotnull
            and attribute.attgenerated = ''
    where
        key.indisunique
        and key.indimmediate
        and key.indisvalid
        and key.indpred is null
        and part.place <= key.indnkeyatts
        and (class.relkind = 'r' or (class.relkind = 'p' and key.indisprimary))
        and namespace.nspname !~ '^pg_'
    group by namespace.nspname, class.relname, index_class.relname, key.indexrelid, key.indisprimary, key.indisreplident
    having bool_and(attribute.attnum is not null)
    order by key.indisprimary desc, key.indisreplident desc, count(*) asc, index_name asc
"""


@dataclass(frozen=True)
class Key:
    """An index and its columns, in the index's order."""

    index: str
    columns: tuple[str, ...]
    primary: bool


def read_keys(connection: Connection[Any]) -> dict[tuple[str, str], list[Key]]:
    """The keys of every user table that has any, by namespace and name; a primary key comes first.

    A partitioned table has none but its primary key: the indexes of its partitions have names of their own.
    """
    keys: dict[tuple[str, str], list[Key]] = {}
    for namespace, table, index, columns, primary in connection.execute(_FIND_KEYS):
        keys.setdefault((namespace, table), []).append(Key(index, tuple(columns), primary))
    return keys


def matching_key(keys: list[Key], columns: tuple[str, ...]) -> Key | None:
    """The first key over exactly these columns, in whatever order."""
    return next((key for key in keys if set(key.columns) == set(columns)), None)
