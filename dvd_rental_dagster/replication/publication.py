"""The publication: what the server sends of which tables.

PostgreSQL documentation, 29.1 "Publication", 52.40 "pg_publication" and the chapters behind it.
"""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection, sql

from dvd_rental_dagster.errors import PublicationError
from dvd_rental_dagster.replication.ledger import Ledger
from dvd_rental_dagster.replication.remedies import PREPARE

_OF_SCHEMAS_AND_FILTERS_SINCE = 150000
_OF_SCHEMA = sql.SQL(
    "select oid, xmin from pg_catalog.pg_publication_namespace"
    " where pnpubid = publication.oid and pnnspid = class.relnamespace union all"
)


def check_publication(connection: Connection[Any], publication: str, tables: set[tuple[str, str]]) -> None:
    """Make sure that the publication holds every table, all of its rows, and every kind of change.

    Raises:
        PublicationError: the publication does not exist, lacks a table, or leaves changes out.
    """
    found = connection.execute(
        "select pubinsert and pubupdate and pubdelete and pubtruncate, pubviaroot"
        " from pg_catalog.pg_publication where pubname = %s",
        (publication,),
    ).fetchone()
    if found is None:
        raise PublicationError(f"The source has no publication {publication}. {PREPARE}")
    publishes_all_kinds, via_root = found
    if not publishes_all_kinds:
        raise PublicationError(
            f"Publication {publication} leaves kinds of changes out, and the warehouse would differ. {PREPARE} "
            f"Or: alter publication {publication} set (publish = 'insert, update, delete, truncate')."
        )
    if not via_root and (partitioned := _partitioned(connection, tables)):
        raise PublicationError(
            f"Publication {publication} tells the changes of {', '.join(partitioned)} under the partitions' names. "
            f"Run: alter publication {publication} set (publish_via_partition_root = true)."
        )
    if misread := _misread_partitions(connection, tables):
        raise PublicationError(
            f"The log tells the old rows of {', '.join(misread)} in another form than their partitioned table "
            f"announces, and they would be misread. {PREPARE} Then load what they belong to again: dvd-rental resync."
        )
    if filtered := _filtered(connection, publication, tables):
        raise PublicationError(
            f"Publication {publication} filters the rows of {', '.join(filtered)}, and a full load would not. "
            f"Publish the tables without a WHERE: alter publication {publication} set table …"
        )
    published = set(
        connection.execute(
            "select schemaname, tablename from pg_catalog.pg_publication_tables where pubname = %s", (publication,)
        ).fetchall()
    )
    missing = sorted(f"{namespace}.{name}" for namespace, name in tables - published)
    if missing:
        raise PublicationError(f"Publication {publication} lacks {', '.join(missing)}. {PREPARE}")


def _partitioned(connection: Connection[Any], tables: set[tuple[str, str]]) -> list[str]:
    rows = connection.execute(
        "select namespace.nspname, class.relname from pg_catalog.pg_class as class"
        " inner join pg_catalog.pg_namespace as namespace on class.relnamespace = namespace.oid"
        " where class.relkind = 'p'"
    ).fetchall()
    return sorted(".".join(table) for table in rows if table in tables)


def _misread_partitions(connection: Connection[Any], tables: set[tuple[str, str]]) -> list[str]:
    """Partitions whose replica identity says less than that of the table, or other columns.

    One that has none at all is no danger: there the source refuses updates and deletes.
    """
    rows = connection.execute(
        """
        select namespace.nspname, class.relname, part.oid::regclass::text
        from pg_catalog.pg_class as class
        inner join pg_catalog.pg_namespace as namespace on class.relnamespace = namespace.oid
        cross join lateral pg_catalog.pg_partition_tree(class.oid) as tree
        inner join pg_catalog.pg_class as part on tree.relid = part.oid
        where
            class.relkind = 'p'
            and tree.isleaf
            and part.relreplident <> class.relreplident
            and (
                part.relreplident = 'i'
                or (
                    part.relreplident = 'd'
                    and exists (select 1 from pg_catalog.pg_index where indrelid = part.oid and indisprimary)
                )
            )
        """
    ).fetchall()
    return sorted(part for namespace, name, part in rows if (namespace, name) in tables)


def _filtered(connection: Connection[Any], publication: str, tables: set[tuple[str, str]]) -> list[str]:
    """Tables with a row filter, which publications can have since PostgreSQL 15."""
    if connection.info.server_version < _OF_SCHEMAS_AND_FILTERS_SINCE:
        return []
    rows = connection.execute(
        "select schemaname, tablename from pg_catalog.pg_publication_tables"
        " where pubname = %s and rowfilter is not null",
        (publication,),
    ).fetchall()
    return sorted(".".join(table) for table in rows if table in tables)


def read_marks(
    connection: Connection[Any], publication: str, tables: set[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """What tells a table's place in the publication from one that it has after it was taken out for a while.

    The log does not tell of that, nor of a publication that was dropped and made again: what changed between is not
    sent. Each row of the catalog has a number of its own, and the transaction that wrote it.
    """
    of_schema = _OF_SCHEMA if connection.info.server_version >= _OF_SCHEMAS_AND_FILTERS_SINCE else sql.SQL("")
    rows = connection.execute(
        sql.SQL(
            """
            select
                wanted.namespace,
                wanted.name,
                concat_ws(' ', publication.oid::text || '/' || publication.xmin::text, (
                    select string_agg(member.oid::text || '/' || member.xmin::text, ' ' order by member.oid)
                    from (
                        {}
                        select oid, xmin from pg_catalog.pg_publication_rel
                        where
                            prpubid = publication.oid
                            and (
                                prrelid = class.oid
                                or prrelid in (select relid from pg_catalog.pg_partition_ancestors(class.oid))
                            )
                    ) as member
                )) as mark
            from unnest(%s::text[], %s::text[]) as wanted (namespace, name)
            inner join pg_catalog.pg_namespace as namespace on wanted.namespace = namespace.nspname
            inner join pg_catalog.pg_class as class
                on wanted.name = class.relname and namespace.oid = class.relnamespace
            inner join pg_catalog.pg_publication as publication on publication.pubname = %s
            """
        ).format(of_schema),
        ([namespace for namespace, _ in tables], [name for _, name in tables], publication),
    ).fetchall()
    return {(namespace, name): mark for namespace, name, mark in rows}


def check_marks(publication: str, ledger: Ledger, marks: Mapping[str, str]) -> None:
    """Make sure that the streams have been in the publication as they are since they were loaded.

    ``marks`` are those of the streams that go on, by name. Of one that was loaded before marks were kept there is none.

    Raises:
        PublicationError: some were out of it, or it left changes out, for a while.
    """
    changed = [name for name, mark in sorted(marks.items()) if ledger.streams[name].published not in {"", mark}]
    if changed:
        raise PublicationError(
            f"Publication {publication} was made again, or changed for {', '.join(changed)}, since the warehouse was "
            "loaded, and what happened meanwhile may be missing from the log. Load again what was changed: "
            f"dvd-rental resync {' '.join(changed)}."
        )
