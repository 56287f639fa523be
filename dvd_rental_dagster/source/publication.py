"""What the log says about the tables and to whom: replica identities, the publication and the slot."""

from typing import Any

from psycopg import Connection, sql

from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.errors import PreparationError
from dvd_rental_dagster.source.capture import Capture, Step, change, one_row

_PLUGIN = "pgoutput"


def set_identities(connection: Connection[Any], capture: Capture) -> Step:
    """Set what the log says of the old row of an update or delete (``alter table``, "replica identity").

    With ``full_identity`` it is the whole row for the tables that can hold a value out of line, which are those with a
    TOAST relation: film and staff. Without it an update that leaves such a value alone does not carry it, and Airbyte
    writes a placeholder in its place. The others say their key, which costs less; a table that says more keeps it.

    Raises:
        PreparationError: the connection's role does not own a table.
    """
    wanting = connection.execute(
        """
        select
            relname,
            reltoastrelid <> 0 and %(full)s as wants_full
        from pg_class
        where
            relnamespace = 'public'::regnamespace
            and relname = any(%(tables)s)
            and relreplident <> 'f'
            and (relreplident <> 'd' or (reltoastrelid <> 0 and %(full)s))
        order by relname
        """,
        {"full": capture.full_identity, "tables": list(STREAM_NAMES)},
    ).fetchall()
    for name, wants_full in wanting:
        identity = sql.SQL("full" if wants_full else "default")
        change(connection, sql.SQL("alter table {} replica identity {}").format(_table(name), identity))
    return Step("replica identity", "every row of the log can be found", changed=bool(wanting))


def publish(connection: Connection[Any], capture: Capture) -> Step:
    """Make the publication of exactly the fifteen tables, whole rows and all kinds of change, or mend it.

    Raises:
        PreparationError: it publishes all tables, or the connection's role does not own it or a table.
    """
    name = sql.Identifier(capture.publication)
    tables = sql.SQL(", ").join(_table(stream) for stream in STREAM_NAMES)
    kinds = sql.SQL("(publish = 'insert, update, delete, truncate')")
    found = connection.execute(
        """
        select
            puballtables,
            pubinsert and pubupdate and pubdelete and pubtruncate as has_all_kinds
        from pg_publication
        where pubname = %s
        """,
        (capture.publication,),
    ).fetchone()
    if found is None:
        change(connection, sql.SQL("create publication {} for table {} with {}").format(name, tables, kinds))
        return Step("publication", f"{capture.publication} publishes {len(STREAM_NAMES)} tables", changed=True)
    publishes_all, has_all_kinds = found
    if publishes_all:
        raise PreparationError(
            f"The publication {capture.publication} is for all tables and has to be for {len(STREAM_NAMES)}. "
            f"If nothing else reads it: drop publication {capture.publication}; then prepare again."
        )
    has_the_tables = _publishes_the_tables(connection, capture.publication)
    if not has_the_tables:
        change(connection, sql.SQL("alter publication {} set table {}").format(name, tables))
    if not has_all_kinds:
        change(connection, sql.SQL("alter publication {} set {}").format(name, kinds))
    return Step(
        "publication",
        f"{capture.publication} publishes {len(STREAM_NAMES)} tables",
        changed=not (has_the_tables and has_all_kinds),
    )


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


def _publishes_the_tables(connection: Connection[Any], publication: str) -> bool:
    """Whether it has exactly the tables, without the row filters and column lists that servers know since 15."""
    tables, is_partial = one_row(
        connection,
        """
        with members as (
            select
                schemaname,
                tablename
            from pg_publication_tables
            where pubname = %(publication)s
        ),

        partial_members as (
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

        select
            (select array_agg(schemaname || '.' || tablename) from members),
            exists (select 1 from partial_members)
        """,
        {"publication": publication},
    )
    return set(tables or ()) == {f"public.{name}" for name in STREAM_NAMES} and not is_partial


def _table(name: str) -> sql.Identifier:
    return sql.Identifier("public", name)
