"""What waits in the log, without taking it: which streams, and up to which LSN."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, sql

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import SlotBusyError, SlotError
from dvd_rental_dagster.replication.lsn import format_lsn, parse_lsn
from dvd_rental_dagster.replication.pgoutput import Tag
from dvd_rental_dagster.replication.remedies import PREPARE
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.replication.slot import flushed_lsn
from dvd_rental_dagster.replication.table import table_oids

_PEEKED_CHANGES = 10_000
_LOOK_SECONDS = 0.2

# Of the rows that committed behind a place of the log, just the tables' numbers, which stand behind a change's tag. A
# message's place is where it was written; a commit's is its end.
_TABLES_SINCE = """
with message as materialized (
    select lsn, xid, data, get_byte(data, 0) as tag
    from pg_catalog.pg_logical_slot_peek_binary_changes(
        %(slot)s, null, null, 'proto_version', '1', 'publication_names', %(publication)s
    )
),

late as (
    select xid from message where tag = ascii('C') and lsn > %(lsn)s::pg_lsn
)

select distinct substring(data from 2 for 4) as table_number
from message
where tag in (ascii('I'), ascii('U'), ascii('D')) and xid in (select xid from late)
"""


@dataclass(frozen=True)
class Pending:
    """Changes that the slot has not let go of: the LSN of the last, and the streams they belong to."""

    lsn: int
    streams: tuple[str, ...]


def pending_changes(
    source_url: str, streams: Sequence[Stream], *, publication: str, slot: str, limit: int = _PEEKED_CHANGES
) -> Pending:
    """Look at the log behind the slot's place; beyond ``limit`` changes every stream counts as changed.

    Raises:
        SlotError: the slot is missing, lost or in use.
        SourceUnreachableError: no connection.
    """
    with connect(source_url) as connection:
        return _peek(connection, streams, publication, slot, limit)


def changed_since(
    source_url: str, streams: Sequence[Stream], *, publication: str, slot: str, lsn: int
) -> tuple[str, ...]:
    """The streams with rows that committed behind ``lsn`` and that the slot has not let go of; a truncation is no row.

    The whole log behind the slot's place is decoded, at the server.

    Raises:
        SlotBusyError: somebody reads the slot.
        SlotError: the slot is missing or lost.
        SourceUnreachableError: no connection.
    """
    parameters = {
        "slot": slot, "publication": sql.Identifier(publication).as_string(), "lsn": format_lsn(lsn),
    }  # fmt: skip
    with connect(source_url) as connection:
        with _naming_the_slot(slot):
            found = connection.execute(_TABLES_SINCE, parameters).fetchall()
        return _streams_of(connection, streams, {int.from_bytes(number) for (number,) in found})


def await_changes(
    source_url: str, streams: Sequence[Stream], *, publication: str, slot: str, seconds: float
) -> Pending:
    """Watch the log until a change of a stream waits in it, for at most ``seconds``; then no stream is named.

    Raises:
        SlotError: the slot is missing or in use.
        SourceUnreachableError: no connection, or it broke.
    """
    deadline = time.monotonic() + seconds
    looked_at = -1
    with connect(source_url) as connection:
        while True:
            end_lsn = flushed_lsn(connection)
            if end_lsn > looked_at:
                pending = _peek(connection, streams, publication, slot, _PEEKED_CHANGES)
                if pending.streams:
                    return pending
                looked_at = end_lsn
            if time.monotonic() > deadline:
                return Pending(0, ())
            time.sleep(_LOOK_SECONDS)


def _peek(connection: Connection[Any], streams: Sequence[Stream], publication: str, slot: str, limit: int) -> Pending:
    """Decode what waits; the server begins at the slot's restart point each time, so it is bounded.

    PostgreSQL documentation, 9.28.6 "Replication Management Functions".
    """
    query = sql.SQL(
        "select lsn::text, data from pg_catalog.pg_logical_slot_peek_binary_changes({}, null, {},"
        " 'proto_version', '1', 'publication_names', {})"
    ).format(sql.Literal(slot), sql.Literal(limit), sql.Literal(sql.Identifier(publication).as_string()))
    with _naming_the_slot(slot):
        messages = connection.execute(query).fetchall()
    if len(messages) >= limit:
        return Pending(parse_lsn(messages[-1][0]), tuple(stream.name for stream in streams))
    changed = _streams_of(connection, streams, _changed(messages))
    return Pending(parse_lsn(messages[-1][0]) if messages else 0, changed)


@contextmanager
def _naming_the_slot(slot: str) -> Iterator[None]:
    """Say of a slot that cannot be looked into why, and what to do."""
    try:
        yield
    except psycopg.errors.ObjectInUse as error:
        raise SlotBusyError(f"Replication slot {slot} is in use: a sync is running.") from error
    except psycopg.errors.UndefinedObject as error:
        raise SlotError(f"The source has no replication slot {slot}. {PREPARE}") from error
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise SlotError(
            f"Replication slot {slot} is lost: {error.diag.message_primary}. dvd-rental status names the remedy."
        ) from error


def _changed(messages: Sequence[tuple[str, bytes]]) -> set[int]:
    """The tables whose rows the messages change, by the source's numbers for them."""
    known: set[int] = set()
    changed: set[int] = set()
    for _, payload in messages:
        tag, oid = payload[0], int.from_bytes(payload[1:5])
        if tag == Tag.RELATION:
            known.add(oid)
        elif tag in {Tag.INSERT, Tag.UPDATE, Tag.DELETE}:
            changed.add(oid)
        elif tag == Tag.TRUNCATE:
            changed |= known
    return changed


def _streams_of(connection: Connection[Any], streams: Sequence[Stream], oids: set[int]) -> tuple[str, ...]:
    """The streams of the tables, which may have been called otherwise when they changed."""
    if not oids:
        return ()
    numbers = table_oids(connection, {stream.source_table for stream in streams})
    return tuple(stream.name for stream in streams if numbers.get(stream.source_table) in oids)
