"""What a preparation needs and cannot make: the server's version and settings, the tables and their keys."""

from typing import Any

from psycopg import Connection, sql

from dvd_rental_dagster.catalog import STREAMS
from dvd_rental_dagster.errors import PreparationError
from dvd_rental_dagster.replication.key import matching_key, read_keys
from dvd_rental_dagster.source.capture import Capture, Step, identifier, is_rds, one_row

OLDEST_SERVER = 13
_GENERATED_IDENTITY_REFUSED = 18


def check_version(connection: Connection[Any], _capture: Capture) -> Step:
    """The server knows all that the engine asks of it.

    Raises:
        PreparationError: it is too old.
    """
    major = connection.info.server_version // 10_000
    if major < OLDEST_SERVER:
        raise PreparationError(f"The source is PostgreSQL {major}. Upgrade it to {OLDEST_SERVER} or newer.")
    return Step("version", f"PostgreSQL {major}")


def check_wal_level(connection: Connection[Any], _capture: Capture) -> Step:
    """The log holds what logical decoding needs.

    Raises:
        PreparationError: ``wal_level`` is another.
    """
    level = _setting(connection, "wal_level")
    if level == "logical":
        return Step("wal_level", level)
    raise PreparationError(
        f"wal_level is {level} and has to be logical. "
        + (
            "Set rds.logical_replication to 1 in the instance's parameter group and reboot it."
            if is_rds(connection)
            else "As a superuser: alter system set wal_level = 'logical'; then restart the server."
        )
    )


def check_capacity(connection: Connection[Any], capture: Capture) -> Step:
    """There is room for the slot, which is made once, and a sender for whoever streams it.

    Raises:
        PreparationError: ``max_replication_slots`` or ``max_wal_senders`` is used up.
    """
    slots, senders = int(_setting(connection, "max_replication_slots")), int(_setting(connection, "max_wal_senders"))
    used, has_ours, sending = one_row(
        connection,
        """
        select
            (select count(*) from pg_replication_slots) as used,
            exists (select 1 from pg_replication_slots where slot_name = %(slot)s) as has_ours,
            (select count(*) from pg_stat_replication) as sending
        """,
        {"slot": capture.slot},
    )
    where = "in the instance's parameter group" if is_rds(connection) else "in postgresql.conf"
    if not has_ours and used >= slots:
        raise PreparationError(
            f"{used} of the {slots} slots that max_replication_slots allows are taken. Raise it {where} and restart "
            "the server, or drop a slot that nobody reads: select pg_drop_replication_slot('NAME');"
        )
    if sending >= senders:
        raise PreparationError(
            f"{sending} of the {senders} senders that max_wal_senders allows are busy. "
            f"Raise it {where} and restart the server."
        )
    return Step("capacity", f"{used} of {slots} slots and {sending} of {senders} senders in use")


def check_tables(connection: Connection[Any], capture: Capture) -> Step:
    """Every stream has its table, and the log can tell the table's rows apart by the stream's key.

    Raises:
        PreparationError: a table or its key is missing, or the server would refuse the table's updates.
    """
    found = {
        (schema, table): fields
        for schema, table, *fields in connection.execute(
            """
            select
                wanted.schema_name,
                wanted.table_name,
                pg_class.relpersistence = 'p' as logged,
                case when pg_class.relispartition then pg_partition_root(pg_class.oid)::text end as root,
                (
                    select min(attname)
                    from pg_attribute
                    where attrelid = pg_class.oid and attgenerated <> '' and not attisdropped
                ) as generated
            from unnest(%(schemas)s::text[], %(tables)s::text[]) as wanted (schema_name, table_name)
            inner join pg_namespace on wanted.schema_name = pg_namespace.nspname
            inner join pg_class
                on pg_namespace.oid = pg_class.relnamespace and wanted.table_name = pg_class.relname
            where pg_class.relkind in ('r', 'p')
            """,
            capture.places,
        )
    }
    if missing := [stream.source_name for stream in capture.streams if stream.source_table not in found]:
        raise PreparationError(
            f"The database {connection.info.dbname} lacks the tables {', '.join(missing)}. "
            + (
                "Fill it with: dvd-rental source restore FILE, or dvd-rental source generate"
                if capture.streams == STREAMS
                else "Take them out of the catalog, or write it anew: dvd-rental catalog discover --output FILE"
            )
        )
    keys = read_keys(connection)
    for stream in capture.streams:
        logged, root, generated = found[stream.source_table]
        table = identifier(stream).as_string(connection)
        if not logged:
            raise PreparationError(
                f"The table {stream.source_name} is unlogged, so its changes are not in the log. "
                f"Take it out of the catalog, or run: alter table {table} set logged;"
            )
        if root is not None:
            raise PreparationError(
                f"The table {stream.source_name} is a partition, and its changes are told as those of {root}. "
                f"Name {root} in the catalog in its place."
            )
        if stream.primary_key and matching_key(keys.get(stream.source_table, []), stream.primary_key) is None:
            columns = ", ".join(sql.Identifier(column).as_string(connection) for column in stream.primary_key)
            raise PreparationError(
                f"The table {stream.source_name} has no primary key ({', '.join(stream.primary_key)}) that the log "
                f"can use, so its updates and deletes name no row. Run: alter table {table} add primary key "
                f"({columns}); or write the catalog anew: dvd-rental catalog discover --output FILE"
            )
        if not stream.primary_key and generated and _refuses_generated(connection):
            raise PreparationError(
                f"The table {stream.source_name} has no primary key and the generated column {generated}: once it is "
                f"published, PostgreSQL {_GENERATED_IDENTITY_REFUSED} refuses its updates and deletes. Give it a "
                f"primary key, take it out of the catalog, or run: alter table {table} alter column "
                f"{sql.Identifier(generated).as_string(connection)} drop expression;"
            )
    return Step("tables", f"{len(capture.streams)}, each with what tells its rows apart")


def _refuses_generated(connection: Connection[Any]) -> bool:
    """Whether the whole row is no identity where a column of it is generated (release notes of 18, E.4.2)."""
    return connection.info.server_version // 10_000 >= _GENERATED_IDENTITY_REFUSED


def _setting(connection: Connection[Any], name: str) -> str:
    return str(one_row(connection, "select current_setting(%(name)s)", {"name": name})[0])
