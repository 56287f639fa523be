"""How the slot is: what it has not read yet, what log it keeps, and who makes it keep more.

PostgreSQL documentation, 52.19 "pg_replication_slots" and 27.2.3 "pg_stat_activity".
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from dvd_rental_dagster.replication.ledger import Ledger
from dvd_rental_dagster.replication.lsn import parse_lsn

# What a server of some version lacks comes through to_jsonb as null. Whoever wrote first and is still open holds the
# slot's restart_lsn and catalog_xmin, in whichever database. Since when, only pg_read_all_stats sees of others.
_HEALTH = """
with log as (
    select pg_catalog.pg_current_wal_lsn() as lsn
),

open_transaction as (
    select pid, usename::text as role, state, null::text as gid, xact_start as since, backend_xid as xid
    from pg_catalog.pg_stat_activity
    where backend_xid is not null
    union all
    select null, owner::text, 'prepared', gid, prepared, transaction
    from pg_catalog.pg_prepared_xacts
),

oldest as (
    select pid, role, state, gid, extract(epoch from clock_timestamp() - since)::float8 as seconds
    from open_transaction
    order by age(xid) desc
    limit 1
)

select
    slot.slot_name is not null as exists,
    slot.wal_status,
    to_jsonb(slot.*) ->> 'invalidation_reason' as invalidation_reason,
    slot.safe_wal_size,
    slot.active_pid,
    slot.confirmed_flush_lsn::text as confirmed_flush_lsn,
    pg_catalog.pg_wal_lsn_diff(log.lsn, slot.confirmed_flush_lsn)::int8 as lag,
    pg_catalog.pg_wal_lsn_diff(log.lsn, slot.restart_lsn)::int8 as retained,
    current_user::text as reader,
    oldest.pid is not null or oldest.gid is not null as has_open,
    oldest.pid,
    oldest.role as open_role,
    oldest.state,
    oldest.gid,
    oldest.seconds
from log
left join pg_catalog.pg_replication_slots as slot on slot.slot_name = %(slot)s
left join oldest on true
"""


@dataclass(frozen=True)
class OpenTransaction:
    """The oldest transaction that has written and not ended; the log since it began is kept, and snapshots wait for it.

    ``pid`` is its server process, none for a prepared one, which ``gid`` names instead. ``seconds`` since it began are
    none where the reading role may not see them.
    """

    pid: int | None
    role: str | None
    state: str | None
    gid: str | None
    seconds: float | None


@dataclass(frozen=True)
class SlotHealth:
    """The slot at one moment, which ``read_at`` tells in microseconds since 1970 by the clock that stamps the ledger.

    ``safe_wal_bytes`` can be written before the slot is in danger, none without ``max_slot_wal_keep_size``.
    ``lag_bytes`` are those between ``confirmed_flush_lsn`` and the log's end, ``retained_bytes`` those between
    ``restart_lsn`` and the log's end; none where the server names no such place. ``reader`` is the role that read this.
    ``ledger`` is the warehouse's, none before the first load.
    """

    slot: str
    exists: bool
    wal_status: str | None
    invalidation_reason: str | None
    safe_wal_bytes: int | None
    active_pid: int | None
    confirmed_flush_lsn: int | None
    lag_bytes: int | None
    retained_bytes: int | None
    transaction: OpenTransaction | None
    reader: str
    ledger: Ledger | None
    read_at: int

    @property
    def lag_seconds(self) -> float | None:
        """How old the oldest commit that was not taken can be at most.

        Zero when the slot has read the log to its end. Else the time since the last sync, which took every commit
        before it; the server keeps no time with a place of the log that would tell more. None before the first load.
        """
        if self.lag_bytes == 0:
            return 0.0
        if self.lag_bytes is None or self.ledger is None:
            return None
        return max(self.read_at - self.ledger.extracted_at, 0) / 1_000_000

    @property
    def gap(self) -> tuple[int, int] | None:
        """From the ledger's place to the slot's, where that is further; what lies between is gone."""
        if self.ledger is None or self.confirmed_flush_lsn is None or self.confirmed_flush_lsn <= self.ledger.lsn:
            return None
        return self.ledger.lsn, self.confirmed_flush_lsn

    @property
    def is_lost(self) -> bool:
        """Whether the server has let go of log that the slot had not read."""
        return self.wal_status == "lost" or self.invalidation_reason is not None


def read_health(connection: Connection[Any], slot: str, read_ledger: Callable[[], Ledger | None]) -> SlotHealth:
    """Read the slot in one query, then the ledger: one that is read later is never behind because of a sync between.

    Raises:
        psycopg.OperationalError: the connection broke.
    """
    row = connection.execute(_HEALTH, {"slot": slot}).fetchone()
    assert row is not None  # noqa: S101  # the log always has an end
    exists, wal_status, reason, safe, active_pid, confirmed, lag, retained, reader, has_open, *oldest = row
    pid, role, state, gid, seconds = oldest
    return SlotHealth(
        slot=slot,
        exists=exists,
        wal_status=wal_status,
        invalidation_reason=reason,
        safe_wal_bytes=safe,
        active_pid=active_pid,
        confirmed_flush_lsn=parse_lsn(confirmed) if confirmed else None,
        lag_bytes=None if lag is None else max(lag, 0),
        retained_bytes=None if retained is None else max(retained, 0),
        transaction=OpenTransaction(pid, role, state, gid, seconds) if has_open else None,
        reader=reader,
        ledger=read_ledger(),
        read_at=int(time.time() * 1_000_000),
    )
