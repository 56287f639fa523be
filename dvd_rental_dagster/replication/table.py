"""A stream's table as the source has it now."""

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import StreamTableError
from dvd_rental_dagster.replication.column import Column, TypeCatalog

OWN_COLUMNS = (
    "_airbyte_raw_id",
    "_airbyte_extracted_at",
    "_airbyte_meta",
    "_airbyte_generation_id",
    "_ab_cdc_lsn",
    "_ab_cdc_updated_at",
    "_ab_cdc_deleted_at",
)


@dataclass(frozen=True)
class Table:
    """A stream with the columns its source table has, in the source's order."""

    stream: Stream
    columns: tuple[Column, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the primary key's columns."""
        return self.stream.primary_key


def check_names(stream: Stream, columns: tuple[Column, ...]) -> None:
    """Refuse names that the warehouse cannot hold side by side.

    Raises:
        StreamTableError: a column has one of the contract's names, or two differ in case alone.
    """
    seen: dict[str, str] = {}
    for column in columns:
        folded = column.name.lower()
        if folded in OWN_COLUMNS:
            raise StreamTableError(
                f"Column {column.name} of {stream.namespace}.{stream.name} has the name of a column that replication "
                "adds. Rename it at the source, or leave it out of the publication by a column list."
            )
        if folded in seen:
            raise StreamTableError(
                f"Columns {seen[folded]} and {column.name} of {stream.namespace}.{stream.name} differ in case alone, "
                "and the warehouse folds case. Rename one, or leave it out of the publication by a column list."
            )
        seen[folded] = column.name


def read_table(connection: Connection[Any], types: TypeCatalog, stream: Stream) -> Table:
    """Read the table's published columns; generated columns are not in the log and so not in the stream.

    Raises:
        StreamTableError: the table does not exist, or its key is not the stream's.
    """
    rows = connection.execute(
        """
        select attribute.attname, attribute.atttypid::int8, attribute.atttypmod
        from pg_catalog.pg_attribute as attribute
        inner join pg_catalog.pg_class as class on attribute.attrelid = class.oid
        inner join pg_catalog.pg_namespace as namespace on class.relnamespace = namespace.oid
        where
            namespace.nspname = %s
            and class.relname = %s
            and attribute.attnum > 0
            and not attribute.attisdropped
            and attribute.attgenerated = ''
        order by attribute.attnum
        """,
        (stream.namespace, stream.name),
    ).fetchall()
    if not rows:
        raise StreamTableError(
            f"The source has no table {stream.namespace}.{stream.name}. Restore or generate the DVD Rental database "
            "(dvd-rental source restore FILE, or dvd-rental source generate)."
        )
    columns = tuple(types.column(name, type_oid, modifier) for name, type_oid, modifier in rows)
    check_names(stream, columns)
    missing = [name for name in stream.primary_key if name not in {column.name for column in columns}]
    if missing:
        raise StreamTableError(
            f"{stream.namespace}.{stream.name} has no column {', '.join(missing)}, which the stream's key needs. "
            "The source is not the DVD Rental database, or its table was changed."
        )
    return Table(stream, columns)
