"""What a preparation needs and cannot make: the server's version and settings, the tables and their keys."""

from typing import Any

from psycopg import Connection

from dvd_rental_dagster.catalog import STREAM_NAMES, STREAMS
from dvd_rental_dagster.errors import PreparationError
from dvd_rental_dagster.source.capture import Capture, Step, is_rds, one_row

OLDEST_SERVER = 13


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


def check_tables(connection: Connection[Any], _capture: Capture) -> Step:
    """Every stream has its table, with a primary key.

    Raises:
        PreparationError: a table or its key is missing.
    """
    has_key = dict(
        connection.execute(
            """
            select
                pg_class.relname as table_name,
                coalesce(bool_or(pg_index.indisprimary), false) as has_key
            from pg_class
            left join pg_index on pg_class.oid = pg_index.indrelid
            where pg_class.relnamespace = 'public'::regnamespace and pg_class.relkind in ('r', 'p')
            group by pg_class.relname
            """
        ).fetchall()
    )
    if missing := [name for name in STREAM_NAMES if name not in has_key]:
        raise PreparationError(
            f"The database {connection.info.dbname} lacks the tables {', '.join(missing)}. "
            "Fill it with: dvd-rental source restore FILE, or dvd-rental source generate"
        )
    for stream in STREAMS:
        if not has_key[stream.name]:
            raise PreparationError(
                f"The table {stream.name} has no primary key, so its updates and deletes name no row. "
                f"Run: alter table {stream.name} add primary key ({', '.join(stream.primary_key)});"
            )
    return Step("tables", f"{len(STREAMS)}, each with its primary key")


def _setting(connection: Connection[Any], name: str) -> str:
    return str(one_row(connection, "select current_setting(%(name)s)", {"name": name})[0])
