"""What a source column becomes: a logical type that every destination knows how to store.

A type without a faithful column becomes its text, as PostgreSQL itself writes it.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from psycopg import Connection

_MAX_DECIMAL_PRECISION = 38


class Kind(StrEnum):
    """The logical types; a destination maps each to a column type of its own."""

    SMALLINT = "smallint"
    INTEGER = "integer"
    BIGINT = "bigint"
    REAL = "real"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    TEXT = "text"
    DECIMAL = "decimal"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    TIME = "time"
    UUID = "uuid"
    BYTES = "bytes"
    JSON = "json"
    ARRAY = "array"


_KINDS: dict[str, Kind] = {
    "int2": Kind.SMALLINT,
    "int4": Kind.INTEGER,
    "int8": Kind.BIGINT,
    "float4": Kind.REAL,
    "float8": Kind.DOUBLE,
    "bool": Kind.BOOLEAN,
    "date": Kind.DATE,
    "timestamp": Kind.TIMESTAMP,
    "timestamptz": Kind.TIMESTAMPTZ,
    "time": Kind.TIME,
    "uuid": Kind.UUID,
    "bytea": Kind.BYTES,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
}


@dataclass(frozen=True)
class Column:
    """One column of a stream.

    ``type_oid`` and ``type_modifier`` are the source's own and tell whether the column changed; ``pg_type`` is the name
    of the type under any domain; ``precision`` and ``scale`` belong to decimals, ``element`` names an array's elements.
    """

    name: str
    type_oid: int
    type_modifier: int
    pg_type: str
    kind: Kind
    precision: int = 0
    scale: int = 0
    element: str = ""

    def as_json(self) -> dict[str, Any]:
        """The column as the ledger keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Column":
        """The column that the ledger kept."""
        return cls(**{**fields, "kind": Kind(fields["kind"])})


@dataclass(frozen=True)
class _PgType:
    name: str
    typtype: str
    category: str
    element_oid: int
    base_oid: int
    base_modifier: int


class TypeCatalog:
    """The types of one database, by OID (PostgreSQL documentation, 52.64 "pg_type")."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._types = {
            oid: _PgType(*fields)
            for oid, *fields in connection.execute(
                "select oid::int8, typname, typtype::text, typcategory::text, typelem::int8, typbasetype::int8,"
                " typtypmod from pg_catalog.pg_type"
            )
        }

    def knows(self, type_oid: int) -> bool:
        """Whether the type existed when the catalog was read."""
        return type_oid in self._types

    def column(self, name: str, type_oid: int, type_modifier: int) -> Column:
        """Resolve domains, and say what the column becomes."""
        oid, modifier = type_oid, type_modifier
        while (found := self._types[oid]).typtype == "d":
            oid, modifier = found.base_oid, found.base_modifier
        if found.category == "A" and found.element_oid:
            element = self._types[found.element_oid]
            return Column(name, type_oid, type_modifier, found.name, Kind.ARRAY, element=element.name)
        if found.name == "numeric" and found.typtype == "b":
            return self._numeric(name, type_oid, type_modifier, modifier)
        if found.typtype != "b":
            return Column(name, type_oid, type_modifier, "text", Kind.TEXT)
        return Column(name, type_oid, type_modifier, found.name, _KINDS.get(found.name, Kind.TEXT))

    @staticmethod
    def _numeric(name: str, type_oid: int, type_modifier: int, modifier: int) -> Column:
        """Numeric's modifier holds precision and scale, offset by the four bytes of a varlena header."""
        if modifier >= 0:
            precision = ((modifier - 4) >> 16) & 0xFFFF
            scale = ((modifier - 4) & 0x7FF ^ 0x400) - 0x400
            if precision <= _MAX_DECIMAL_PRECISION and 0 <= scale <= precision:
                return Column(name, type_oid, type_modifier, "numeric", Kind.DECIMAL, precision, scale)
        return Column(name, type_oid, type_modifier, "numeric", Kind.TEXT)
