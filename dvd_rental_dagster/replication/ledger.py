"""What the warehouse knows of its place in the source's log; committed together with the rows it stands for."""

from dataclasses import dataclass, field

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.replication.column import Column


@dataclass(frozen=True)
class SourceIdentity:
    """Which database of which server a log belongs to: both change when a database is replaced."""

    system_identifier: str
    database_oid: int


@dataclass(frozen=True)
class StreamState:
    """One stream as it stands in the warehouse.

    ``generation`` counts its full loads, ``snapshot_lsn`` is the LSN that its last full load shows, ``table_oid`` is
    the source's number for the table, ``columns`` are the source's at the ledger's place of the log.
    """

    generation: int
    mode: SyncMode
    snapshot_lsn: int
    table_oid: int
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Ledger:
    """The place up to which the log is in the warehouse.

    ``lsn`` in bytes; ``sync_id`` counts the syncs that wrote; ``extracted_at`` is the instant that the last of them
    stamped on its rows, ``committed_at`` the commit time of the last source transaction, both in microseconds since
    1970.
    """

    identity: SourceIdentity
    slot: str
    lsn: int
    sync_id: int
    extracted_at: int
    committed_at: int
    streams: dict[str, StreamState] = field(default_factory=dict)


def mode_of(ledger: Ledger | None, stream: str) -> SyncMode | None:
    """The mode in which the stream stands in the warehouse; none of one that the ledger does not know."""
    state = ledger.streams.get(stream) if ledger else None
    return state.mode if state else None


@dataclass(frozen=True)
class Stamp:
    """What one sync writes into the contract's columns; ``extracted_at`` in microseconds since 1970."""

    sync_id: int
    extracted_at: int
