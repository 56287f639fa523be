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

_BEGIN = Struct("!Qq")
_COMMIT = Struct("!BQQ")
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


def decode_begin(buffer: bytes | bytearray, position: int) -> tuple[int, int]:
    """Decode the ``B`` message at the position: LSN of the commit record, commit time in microseconds since 1970."""
    commit_lsn, committed_at = _BEGIN.unpack_from(buffer, position + 1)
    return commit_lsn, committed_at + POSTGRES_EPOCH_MICROSECONDS


def decode_commit(buffer: bytes | bytearray, position: int) -> int:
    """Decode the ``C`` message at the position: the LSN where the log goes on behind the transaction."""
    _flags, _commit_lsn, end_lsn = _COMMIT.unpack_from(buffer, position + 1)
    return int(end_lsn)


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
