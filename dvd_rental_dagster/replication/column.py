"""What a source column becomes: a logical type that every destination knows how to store.

A type without a faithful column becomes its text, as PostgreSQL itself writes it.
"""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from psycopg import Connection

from dvd_rental_dagster.replication.array import delimiter

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
_SAME_TEXT = frozenset({("varchar", "text"), ("text", "varchar")})
_WIDENED_IN_PLACE = frozenset({"varchar", "varbit", "numeric", "time", "timetz", "timestamp", "timestamptz"})


@dataclass(frozen=True)
class Column:
    """One column of a stream.

    ``type_oid`` and ``type_modifier`` are the source's own and tell whether the column changed; ``pg_type`` and
    ``modifier`` are those of the type under any domain; ``precision`` and ``scale`` belong to decimals, ``element``
    names the type of an array's elements, domains resolved, and is empty where that is no type of the server's own.
    ``number`` is the column's in its table, which no other column of the table ever has;
    zero when it is not known.
    """

    name: str
    type_oid: int
    type_modifier: int
    pg_type: str
    kind: Kind
    precision: int = 0
    scale: int = 0
    element: str = ""
    modifier: int = -1
    number: int = 0

    @property
    def announced(self) -> tuple[str, int, int]:
        """The column as the log announces it."""
        return self.name, self.type_oid, self.type_modifier

    def keeps_values_as(self, after: "Column") -> bool:
        """Whether changing the column's type to that of ``after`` leaves every value's text as it is.

        These are the changes for which PostgreSQL does not rewrite the table (ALTER TABLE, "Notes"); a rewrite is not
        in the log. An expression given with USING can change values even then, and only a comparison shows it.
        """
        if after.pg_type != self.pg_type:
            return (self.pg_type, after.pg_type) in _SAME_TEXT and after.modifier in {-1, self.modifier}
        if after.modifier == self.modifier:
            return True
        if after.pg_type == "numeric" and after.modifier != -1:
            return self.modifier != -1 and after.scale == self.scale and after.precision >= self.precision > 0
        if after.pg_type not in _WIDENED_IN_PLACE:
            return False
        return after.modifier == -1 or (self.modifier != -1 and after.modifier > self.modifier)

    def as_json(self) -> dict[str, Any]:
        """The column as the ledger keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Column":
        """The column that the ledger kept."""
        return cls(**{**fields, "kind": Kind(fields["kind"])})


@dataclass(frozen=True)
class _PgType:
    """``element_oid`` is set for arrays alone; ``built_in`` tells a type of the server's from a namesake."""

    name: str
    typtype: str
    built_in: bool
    delimiter: str
    element_oid: int
    base_oid: int
    base_modifier: int


_GONE = _PgType("unknown", "b", built_in=False, delimiter=",", element_oid=0, base_oid=0, base_modifier=-1)


class TypeCatalog:
    """The types of one database, by OID (PostgreSQL documentation, 52.64 "pg_type")."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._types = {
            oid: _PgType(*fields)
            for oid, *fields in connection.execute(
                "select oid::int8, typname, typtype::text, typnamespace = 'pg_catalog'::regnamespace, typdelim::text,"
                " case when typinput = 'pg_catalog.array_in'::regproc then typelem::int8 else 0 end,"
                " typbasetype::int8, typtypmod from pg_catalog.pg_type"
            )
        }

    def knows(self, type_oid: int) -> bool:
        """Whether the type existed when the catalog was read."""
        return type_oid in self._types

    def column(self, name: str, type_oid: int, type_modifier: int, number: int = 0) -> Column:
        """Resolve domains, and say what the column becomes; of a type that is gone by now it is the values' text."""
        found, modifier = self._base(type_oid, type_modifier)
        column = Column(name, type_oid, type_modifier, found.name, Kind.TEXT, modifier=modifier, number=number)
        if found.element_oid:
            element, _ = self._base(found.element_oid, -1)
            known = element.name if element.built_in else ""
            return replace(column, kind=Kind.ARRAY, element=known) if element.delimiter == delimiter(known) else column
        if not found.built_in:
            return column
        if found.name == "numeric":
            return self._numeric(column)
        return replace(column, kind=_KINDS.get(found.name, Kind.TEXT))

    def _base(self, oid: int, modifier: int) -> tuple[_PgType, int]:
        """The type under any domains, and its modifier."""
        while (found := self._types.get(oid, _GONE)).typtype == "d":
            oid, modifier = found.base_oid, found.base_modifier
        return found, modifier

    @staticmethod
    def _numeric(column: Column) -> Column:
        """Numeric's modifier holds precision and scale, offset by the four bytes of a varlena header."""
        if column.modifier < 0:
            return column
        precision = ((column.modifier - 4) >> 16) & 0xFFFF
        scale = ((column.modifier - 4) & 0x7FF ^ 0x400) - 0x400
        if precision <= _MAX_DECIMAL_PRECISION and 0 <= scale <= precision:
            return replace(column, kind=Kind.DECIMAL, precision=precision, scale=scale)
        return column
