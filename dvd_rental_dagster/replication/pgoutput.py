"""The messages of the logical decoding plugin pgoutput, protocol version 1, that frame the rows.

PostgreSQL documentation, 54.9 "Logical Replication Message Formats". Rows themselves (insert, update, delete) are
decoded by whole batches in ``rows``.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from dvd_rental_dagster.errors import ProtocolError

HEADER_LENGTH = 25
"""Bytes of XLogData before the message: 'w', start of the change, end of the log, clock (54.4)."""

POSTGRES_EPOCH_MICROSECONDS = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970-01-01: the zero of the server's clock."""

_BEGIN = Struct("!QqI")
_COMMIT = Struct("!BQQq")
_RELATION_TAIL = Struct("!cH")
_COLUMN_TAIL = Struct("!Ii")
_TRUNCATE = Struct("!IB")
_OID = Struct("!I")


class Tag(IntEnum):
    """The first byte of a message."""

    BEGIN = ord("B")
    COMMIT = ord("C")
    RELATION = ord("R")
    INSERT = ord("I")
    UPDATE = ord("U")
    DELETE = ord("D")
    TRUNCATE = ord("T")
    TYPE = ord("Y")
    ORIGIN = ord("O")
    MESSAGE = ord("M")


@dataclass(frozen=True)
class Begin:
    """Start of a transaction: the LSN of its commit record and its commit time (microseconds since 1970)."""

    commit_lsn: int
    committed_at: int


@dataclass(frozen=True)
class Commit:
    """End of a transaction; ``end_lsn`` is where the log goes on behind it."""

    commit_lsn: int
    end_lsn: int


@dataclass(frozen=True)
class RelationColumn:
    """A column as the log announces it."""

    name: str
    type_oid: int
    type_modifier: int
    in_identity: bool


@dataclass(frozen=True)
class Relation:
    """A table's definition, sent before its first row and after every change to it."""

    oid: int
    namespace: str
    name: str
    replica_identity: str
    columns: tuple[RelationColumn, ...]


@dataclass(frozen=True)
class Truncate:
    """One TRUNCATE: the OIDs of the tables it emptied."""

    relation_oids: tuple[int, ...]


def decode_begin(payload: bytes) -> Begin:
    """Decode a ``B`` message."""
    commit_lsn, committed_at, _xid = _BEGIN.unpack_from(payload, 1)
    return Begin(commit_lsn, committed_at + POSTGRES_EPOCH_MICROSECONDS)


def decode_commit(payload: bytes) -> Commit:
    """Decode a ``C`` message."""
    _flags, commit_lsn, end_lsn, _committed_at = _COMMIT.unpack_from(payload, 1)
    return Commit(commit_lsn, end_lsn)


def decode_relation(payload: bytes) -> Relation:
    """Decode an ``R`` message.

    Raises:
        ProtocolError: the message is shorter than it says.
    """
    try:
        (oid,) = _OID.unpack_from(payload, 1)
        namespace, position = _string(payload, 5)
        name, position = _string(payload, position)
        identity, count = _RELATION_TAIL.unpack_from(payload, position)
        position += _RELATION_TAIL.size
        columns: list[RelationColumn] = []
        for _ in range(count):
            flags = payload[position]
            column, position = _string(payload, position + 1)
            type_oid, modifier = _COLUMN_TAIL.unpack_from(payload, position)
            position += _COLUMN_TAIL.size
            columns.append(RelationColumn(column, type_oid, modifier, bool(flags & 1)))
    except (IndexError, ValueError) as error:
        raise ProtocolError("A relation message of the log ends too early. Run the sync again.") from error
    return Relation(oid, namespace or "pg_catalog", name, identity.decode(), tuple(columns))


def decode_truncate(payload: bytes) -> Truncate:
    """Decode a ``T`` message; CASCADE and RESTART IDENTITY make no difference to the rows."""
    count, _options = _TRUNCATE.unpack_from(payload, 1)
    start = 1 + _TRUNCATE.size
    return Truncate(tuple(_OID.unpack_from(payload, start + 4 * index)[0] for index in range(count)))


def _string(payload: bytes, start: int) -> tuple[str, int]:
    end = payload.index(0, start)
    return payload[start:end].decode(), end + 1
