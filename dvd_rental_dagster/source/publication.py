"""Which tables the log tells of, and to whom: the publication and the slot."""

from typing import Any

from psycopg import Connection, sql

from dvd_rental_dagster.errors import PreparationError
from dvd_rental_dagster.source.capture import Capture, Step, change, identifier, one_row

_PLUGIN = "pgoutput"


def publish(connection: Connection[Any], capture: Capture) -> Step:
    """Make the publication of exactly the streams' tables, whole rows and all kinds of change, or mend it.

    The changes of partitions are told as those of the table that they are partitions of (CREATE PUBLICATION,
    "publish_via_partition_root").

    Raises:
        PreparationError: it publishes all tables, or the connection's role does not own it or a table.
    """
    name = sql.Identifier(capture.publication)
    # Without "only" tables that inherit from one of them would come along.
    tables = sql.SQL("only ") + sql.SQL(", only ").join(identifier(stream) for stream in capture.streams)
    settings = sql.SQL("(publish = 'insert, update, delete, truncate', publish_via_partition_root = true)")
    detail = f"{capture.publication} publishes {len(capture.streams)} tables"
    found = connection.execute(
        """
        select
            puballtables,
            pubinsert and pubupdate and pubdelete and pubtruncate and pubviaroot as is_set
        from pg_publication
        where pubname = %s
        """,
        (capture.publication,),
    ).fetchone()
    if found is None:
        change(connection, sql.SQL("create publication {} for table {} with {}").format(name, tables, settings))
        return Step("publication", detail, changed=True)
    publishes_all, is_set = found
    if publishes_all:
        raise PreparationError(
            f"The publication {capture.publication} is for all tables and has to be for {len(capture.streams)}. "
            f"If nothing else reads it: drop publication {capture.publication}; then prepare again."
        )
    if not is_set:
        change(connection, sql.SQL("alter publication {} set {}").format(name, settings))
    has_the_tables = _publishes_the_tables(connection, capture)
    if not has_the_tables:
        change(connection, sql.SQL("alter publication {} set table {}").format(name, tables))
    return Step("publication", detail, changed=not (has_the_tables and is_set))


def provide_slot(connection: Connection[Any], capture: Capture) -> Step:
    """Make the slot, from which on the server keeps its log until it is read.

    Raises:
        PreparationError: there is a slot of that name that cannot be used, or the connection's role may not make one.
    """
    found = connection.execute(
        "select database, plugin, wal_status from pg_replication_slots where slot_name = %s", (capture.slot,)
    ).fetchone()
    if found is None:
        make = sql.SQL("select pg_create_logical_replication_slot({}, {})")
        change(connection, make.format(sql.Literal(capture.slot), sql.Literal(_PLUGIN)))
        return Step("slot", f"{capture.slot} keeps the log from here on", changed=True)
    database, plugin, wal_status = found
    drop = f"select pg_drop_replication_slot('{capture.slot}');"
    if database != connection.info.dbname or plugin != _PLUGIN:
        whose = f"of the database {database} with the plugin {plugin}" if database else "a physical one"
        raise PreparationError(
            f"The slot {capture.slot} is {whose}; it has to be of {connection.info.dbname} with {_PLUGIN}. "
            f"Choose another name with DVD_RENTAL_SLOT, or, if nobody reads it: {drop}"
        )
    if wal_status == "lost":
        raise PreparationError(
            f"The slot {capture.slot} is lost: the server discarded log that nobody had read, because it was more "
            f"than max_slot_wal_keep_size. Run: {drop} then prepare again and copy the tables anew."
        )
    return Step("slot", f"{capture.slot} keeps the log")


def _publishes_the_tables(connection: Connection[Any], capture: Capture) -> bool:
    """Whether it has exactly the tables, without the row filters and column lists that servers know since 15."""
    published = connection.execute(
        "select schemaname, tablename from pg_publication_tables where pubname = %s", (capture.publication,)
    ).fetchall()
    is_partial = one_row(
        connection,
        """
        select exists (
            select 1
            from pg_publication_rel
            inner join pg_publication on pg_publication_rel.prpubid = pg_publication.oid
            where
                pg_publication.pubname = %(publication)s
                and (
                    to_jsonb(pg_publication_rel) ->> 'prqual' is not null
                    or to_jsonb(pg_publication_rel) ->> 'prattrs' is not null
                )
        )
        """,
        {"publication": capture.publication},
    )[0]
    return set(published) == {stream.source_table for stream in capture.streams} and not is_partial
