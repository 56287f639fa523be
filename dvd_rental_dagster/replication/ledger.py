"""What the warehouse knows of its place in the source's log; committed together with the rows it stands for."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.replication.column import Column
from dvd_rental_dagster.replication.timelines import Timelines


@dataclass(frozen=True)
class SourceIdentity:
    """Which database of which server a log belongs to: both change when a database is replaced.

    ``timelines`` tell the server's log from that of the same server after it was restored; none where not known.
    """

    system_identifier: str
    database_oid: int
    timelines: Timelines | None = field(default=None, compare=False)

    @property
    def server(self) -> str:
        """The server as a warehouse keeps it."""
        return f"{self.system_identifier} {self.timelines}" if self.timelines else self.system_identifier

    @classmethod
    def of(cls, server: str, database_oid: int) -> "SourceIdentity":
        """The identity that a warehouse kept; until 0.1 it knew of no timelines."""
        system_identifier, _, timelines = server.partition(" ")
        return cls(system_identifier, database_oid, Timelines.parse(timelines) if timelines else None)


@dataclass(frozen=True)
class StreamState:
    """One stream as it stands in the warehouse.

    ``generation`` counts its full loads, ``snapshot_lsn`` is the LSN that its last full load shows, ``table_oid`` is
    the source's number for the table, ``columns`` are the source's at the ledger's place of the log. ``published``
    tells the table's place in the publication from any other that it may have later; empty when it is not known.
    ``spelling`` says how values of the source's own types are written, see ``spellings``.
    """

    generation: int
    mode: SyncMode
    snapshot_lsn: int
    table_oid: int
    columns: tuple[Column, ...]
    published: str = ""
    spelling: Mapping[str, str] = field(default_factory=dict)

    def table_json(self) -> str:
        """What is known of the source's table."""
        columns = [column.as_json() for column in self.columns]
        return json.dumps({"published": self.published, "spelling": dict(self.spelling), "columns": columns})

    @classmethod
    def of(cls, generation: int, mode: str, snapshot_lsn: int, table_oid: int, table_json: str) -> "StreamState":
        """The state that a warehouse kept; until 0.1 its JSON was the columns alone."""
        known = json.loads(table_json)
        table = known if isinstance(known, dict) else {"published": "", "columns": known}
        columns = tuple(map(Column.from_json, table["columns"]))
        spelling = table.get("spelling", {})
        return cls(generation, SyncMode(mode), snapshot_lsn, table_oid, columns, table["published"], spelling)


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


def stream_rows(streams: Mapping[str, StreamState]) -> list[tuple[str, int, str, int, int, str]]:
    """The streams as a warehouse keeps them: name and state, what is known of the table as JSON."""
    return [
        (name, state.generation, state.mode.value, state.snapshot_lsn, state.table_oid, state.table_json())
        for name, state in sorted(streams.items())
    ]


def ledger_of(position: Sequence[Any], streams: Iterable[Sequence[Any]]) -> Ledger:
    """The ledger of a position, whose fields stand in the order of ``Ledger`` and its identity, and ``stream_rows``."""
    server, database_oid, slot, lsn, sync_id, extracted_at, committed_at = position
    states = {name: StreamState.of(*state) for name, *state in streams}
    identity = SourceIdentity.of(server, database_oid)
    return Ledger(identity, slot, lsn, sync_id, extracted_at, committed_at, states)


@dataclass(frozen=True)
class Stamp:
    """What one sync writes into the contract's columns; ``extracted_at`` in microseconds since 1970."""

    sync_id: int
    extracted_at: int
