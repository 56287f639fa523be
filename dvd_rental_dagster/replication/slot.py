"""The replication slot: the server's memory of what the engine has taken from the log.

PostgreSQL documentation, 52.19 "pg_replication_slots" and 54.4 "Streaming Replication Protocol".
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, sql

from dvd_rental_dagster.errors import SlotError, SnapshotError, SourceLockedError
from dvd_rental_dagster.replication.ledger import Ledger, SourceIdentity
from dvd_rental_dagster.replication.lsn import format_lsn, parse_lsn
from dvd_rental_dagster.replication.remedies import PREPARE, RELOAD
from dvd_rental_dagster.replication.session import connect_replication
from dvd_rental_dagster.replication.timelines import read_timelines

SNAPSHOT_WAIT_SECONDS = 60
"""How long a snapshot waits for transactions that were open before it; it cannot be taken while they are."""

IN_USE_WAIT_SECONDS = 5.0
"""How long a slot in use is waited for: the server takes a moment to notice that a killed sync is gone."""

_LOOK_SECONDS = 0.05
_LONGEST_NAME = 63


@dataclass(frozen=True)
class Slot:
    """A logical slot; LSNs in bytes, none where the server has none."""

    name: str
    plugin: str
    database: str
    active_pid: int | None
    restart_lsn: int | None
    confirmed_flush_lsn: int | None
    wal_status: str | None


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot: ``lsn`` is the consistent point it shows; all later changes lie behind ``floor_lsn``.

    A change that was written to the log before ``lsn`` can commit after it, never one before ``floor_lsn``.
    """

    name: str
    lsn: int
    floor_lsn: int


def read_identity(url: str, connection: Connection[Any]) -> SourceIdentity:
    """Read which server and database the connection leads to.

    The current timeline is told by the name of the log's file (9.28.3 "Backup Control Functions", pg_walfile_name).

    Raises:
        SlotError: the server is a standby.
        SourceUnreachableError: no connection for the history of the timelines, or it broke.
    """
    row = connection.execute(
        "select control.system_identifier::text, database.oid::int8,"
        " case when not pg_is_in_recovery()"
        " then substring(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()) for 8) end"
        " from pg_catalog.pg_control_system() as control"
        " cross join pg_catalog.pg_database as database"
        " where database.datname = current_database()"
    ).fetchone()
    assert row is not None  # noqa: S101  # the current database is always listed
    system_identifier, database_oid, timeline = row
    if timeline is None:
        raise SlotError(
            "The source is a standby, or recovers its log still. Name the primary in DVD_RENTAL_SOURCE_URL, or wait "
            "until it is promoted; then run it again."
        )
    return SourceIdentity(system_identifier, database_oid, read_timelines(url, int(timeline, 16)))


def read_slot(connection: Connection[Any], name: str) -> Slot | None:
    """Read the slot as it is, whichever database it belongs to."""
    row = connection.execute(
        "select slot_name, plugin, database, active_pid, restart_lsn::text, confirmed_flush_lsn::text, wal_status"
        " from pg_catalog.pg_replication_slots where slot_name = %s",
        (name,),
    ).fetchone()
    if row is None:
        return None
    slot_name, plugin, database, active_pid, restart_lsn, confirmed_flush_lsn, wal_status = row
    return Slot(
        slot_name,
        plugin or "",
        database or "",
        active_pid,
        parse_lsn(restart_lsn) if restart_lsn else None,
        parse_lsn(confirmed_flush_lsn) if confirmed_flush_lsn else None,
        wal_status,
    )


def flushed_lsn(connection: Connection[Any]) -> int:
    """The end of the log that is safely on the server's disk, where the stream will soon arrive.

    The server's WAL writer flushes whole pages, whose end may cut a record in two. The stream stops before such a
    record, on a server where nobody commits for a quarter of a minute. The end of a transaction of our own, which has
    an id and writes nothing, makes the server flush the rest.
    """
    row = connection.execute(
        "with flushed as (select pg_catalog.pg_current_wal_flush_lsn() as lsn)"
        " select lsn::text, (lsn - '0/0') % current_setting('wal_block_size')::int8 = 0 from flushed"
    ).fetchone()
    assert row is not None  # noqa: S101  # a select of one value has one row
    lsn, ends_a_page = row
    if ends_a_page:
        connection.execute("select pg_catalog.pg_current_xact_id()")
    return parse_lsn(lsn)


def check_slot(
    connection: Connection[Any], name: str, identity: SourceIdentity, log_end: int, ledger: Ledger | None
) -> Slot:
    """Make sure that the slot can serve, and that it goes on where the ledger ends.

    ``log_end`` is the place up to which the source's log is on its disk.

    Raises:
        SlotError: the slot is missing, lost, in use, of another kind, or has let go of changes that the ledger lacks.
    """
    slot = _settled_slot(connection, name)
    if slot is None:
        again = f" Then: {RELOAD}" if ledger else ""
        raise SlotError(f"The source has no replication slot {name}. {PREPARE}{again}")
    if slot.plugin != "pgoutput" or slot.database != connection.info.dbname:
        raise SlotError(
            f"Replication slot {name} belongs to database {slot.database or 'none'}, plugin {slot.plugin or 'none'}; "
            f"expected {connection.info.dbname} with pgoutput. Name another slot in DVD_RENTAL_SLOT."
        )
    if slot.wal_status == "lost":
        raise SlotError(
            f"Replication slot {name} is lost: the server removed log that had not been read, because "
            "max_slot_wal_keep_size was exceeded. Drop the slot with "
            f"select pg_drop_replication_slot('{name}'), run dvd-rental source prepare, then: {RELOAD}"
        )
    if slot.active_pid is not None:
        raise SlotError(
            f"Replication slot {name} is in use by process {slot.active_pid} of the server. Let the other sync finish, "
            f"or end it with select pg_terminate_backend({slot.active_pid})."
        )
    if ledger is not None:
        _check_continuity(slot, identity, ledger)
        _check_log(identity, log_end, ledger)
    return slot


def _settled_slot(connection: Connection[Any], name: str) -> Slot | None:
    """The slot once nobody uses it, or as it is when somebody still does after ``IN_USE_WAIT_SECONDS``."""
    deadline = time.monotonic() + IN_USE_WAIT_SECONDS
    slot = read_slot(connection, name)
    while slot is not None and slot.active_pid is not None and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        slot = read_slot(connection, name)
    return slot


def _check_continuity(slot: Slot, identity: SourceIdentity, ledger: Ledger) -> None:
    if identity != ledger.identity:
        raise SlotError(
            f"The warehouse was loaded from database {ledger.identity.database_oid} of server "
            f"{ledger.identity.system_identifier}; the source is now database {identity.database_oid} of server "
            f"{identity.system_identifier}. {RELOAD}"
        )
    if slot.name != ledger.slot:
        raise SlotError(
            f"The warehouse was loaded through slot {ledger.slot}, and DVD_RENTAL_SLOT now names {slot.name}. "
            f"Name the old one, or: {RELOAD}"
        )
    check_place(slot, ledger)


def check_place(slot: Slot, ledger: Ledger) -> None:
    """Make sure that the slot still keeps everything that the ledger lacks.

    Raises:
        SlotError: it has let go of some.
    """
    if slot.confirmed_flush_lsn is not None and slot.confirmed_flush_lsn > ledger.lsn:
        raise SlotError(
            f"Replication slot {slot.name} stands at {format_lsn(slot.confirmed_flush_lsn)}, beyond the warehouse's "
            f"{format_lsn(ledger.lsn)}: it was made again or read by someone else, and the changes between are gone. "
            f"{RELOAD}"
        )


def _check_log(identity: SourceIdentity, log_end: int, ledger: Ledger) -> None:
    """Make sure that the log up to the ledger's place is still the one that was read."""
    now, then = identity.timelines, ledger.identity.timelines
    if now and then and (fork := now.shared_with(then)) < ledger.lsn:
        raise SlotError(
            f"The source's log has gone another way since {format_lsn(fork)}, on timeline {now.current}, and the "
            f"warehouse holds it up to {format_lsn(ledger.lsn)} on timeline {then.current}: the source was set back to "
            f"an earlier state, and the warehouse holds what is no longer there. {RELOAD}"
        )
    if log_end < ledger.lsn:
        raise SlotError(
            f"The source's log ends at {format_lsn(log_end)}, before the warehouse's {format_lsn(ledger.lsn)}: the "
            f"source was set back to an earlier state, and the warehouse holds what is no longer there. {RELOAD}"
        )


@contextmanager
def exported_snapshot(url: str, connection: Connection[Any], slot: str) -> Iterator[Snapshot]:
    """Export a snapshot that shows the database exactly at one place of the log.

    A temporary slot beside the lasting one makes it, so that a slot that was there before serves as well as a new one:
    the stream then starts at the snapshot's LSN. The snapshot lives as long as the context.

    Raises:
        SnapshotError: no slot is free, or a transaction that writes has been open for too long.
    """
    with closing(connect_replication(url, lock_timeout=f"{SNAPSHOT_WAIT_SECONDS}s")) as exporter:
        # A comparison holds one while the streams that every sync loads anew take another.
        suffix = f"_snapshot_{exporter.info.backend_pid}"
        name = slot[: _LONGEST_NAME - len(suffix)] + suffix
        # Servers before 15 know only this form, and the later ones know it still.
        command = sql.SQL("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT").format(
            sql.Identifier(name)
        )
        try:
            row = exporter.execute(command).fetchone()
        except SourceLockedError as error:
            raise SnapshotError(
                f"A snapshot waits for transactions that were open when it began: {_writers(connection)}. "
                "Let them end, or end them with select pg_terminate_backend(PID); then run it again."
            ) from error
        except psycopg.errors.ConfigurationLimitExceeded as error:
            raise SnapshotError(
                "The source has no free replication slot for the snapshot. Raise max_replication_slots, or drop a slot "
                "that nobody needs (select slot_name, active from pg_replication_slots)."
            ) from error
        assert row is not None  # noqa: S101  # the command answers one row
        temporary = read_slot(connection, name)
        assert temporary is not None  # noqa: S101  # it was made just now
        assert temporary.restart_lsn is not None  # noqa: S101
        yield Snapshot(row[2], parse_lsn(row[1]), temporary.restart_lsn)


def _writers(connection: Connection[Any]) -> str:
    """The server processes whose transactions have written, the oldest first."""
    rows = connection.execute(
        "select pid, coalesce(usename, backend_type), date_trunc('second', now() - xact_start)::text"
        " from pg_catalog.pg_stat_activity where backend_xid is not null order by xact_start"
    ).fetchall()
    return ", ".join(f"process {pid} of {user}, open for {age}" for pid, user, age in rows) or "they ended just now"
