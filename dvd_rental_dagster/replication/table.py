"""A stream's table as the source has it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import StreamTableError
from dvd_rental_dagster.replication.column import Column, TypeCatalog
from dvd_rental_dagster.replication.identity import check_identity

_PUBLISHES_GENERATED = 180000
_RESERVED = ("_airbyte_", "_ab_cdc_")


@dataclass(frozen=True)
class Table:
    """A stream with the columns its source table has, in the source's order.

    ``key`` names the columns by which the log tells one row from another; without any the table is a bag of rows.
    ``oid`` is the source's own number for the table, zero when it is not known; a table made again has another.
    """

    stream: Stream
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    oid: int = 0
    partitioned: bool = False

    @property
    def identifying(self) -> tuple[str, ...]:
        """Columns by which rows are told apart: the key, else all of them."""
        return self.key or tuple(column.name for column in self.columns)


def check_names(stream: Stream, columns: tuple[Column, ...]) -> None:
    """Refuse names that the warehouse cannot hold side by side.

    Raises:
        StreamTableError: a column has a name of the contract's kind, two differ in case alone, or there is none at all.
    """
    if not columns:
        raise StreamTableError(
            f"{stream.source_name} has no columns to replicate. Add one, or take the stream out of the catalog."
        )
    if conflict := name_conflict([column.name for column in columns]):
        raise StreamTableError(f"{stream.source_name}: {conflict}")


def name_conflict(columns: Iterable[str]) -> str | None:
    """What keeps the warehouse from holding columns of these names, and the remedy; none when nothing does."""
    seen: dict[str, str] = {}
    for name in columns:
        folded = name.lower()
        if folded.startswith(_RESERVED):
            return (
                f"column {name} begins as the columns that replication adds do ({', '.join(_RESERVED)}). Rename it, or "
                "leave it out of the publication by a column list."
            )
        if folded in seen:
            return (
                f"columns {seen[folded]} and {name} differ in case alone, and the warehouse folds case. Rename one, or "
                "leave it out of the publication by a column list."
            )
        seen[folded] = name
    return None


def made_again(streams: Sequence[Stream]) -> StreamTableError:
    """The error for tables that are not those that were loaded."""
    tables = ", ".join(stream.source_name for stream in streams)
    return StreamTableError(
        f"Table {tables} was dropped and made again since it was loaded; what became of its rows is not in the log. "
        f"Load what was again: dvd-rental resync {' '.join(stream.name for stream in streams)}."
    )


def unfit_value(stream: Stream, found: str) -> StreamTableError:
    """The error for a value that the warehouse's type of a column has not; ``found`` names the column and the value."""
    return StreamTableError(
        f"In {stream.source_name}, {found}, which the warehouse's type of that column cannot hold. Correct the "
        "value, or leave the column out of the publication by a column list; then load the stream again: "
        f"dvd-rental resync {stream.name}."
    )


def read_table(connection: Connection[Any], types: TypeCatalog, stream: Stream, publication: str) -> Table:
    """Read the table's published columns.

    Generated columns are not in the log, unless the publication says so (CREATE PUBLICATION,
    "publish_generated_columns"), which servers know since 18; before, some list them as published all the same.

    Raises:
        StreamTableError: the table does not exist, has no columns or lacks one of the stream's key, or the log does not
            tell its rows apart by that key.
    """
    found = connection.execute(
        """
        select class.oid::int8, class.relkind = 'p'
        from pg_catalog.pg_class as class
        inner join pg_catalog.pg_namespace as namespace on class.relnamespace = namespace.oid
        where namespace.nspname = %s and class.relname = %s and class.relkind in ('r', 'p')
        """,
        stream.source_table,
    ).fetchone()
    if found is None:
        raise StreamTableError(
            f"The source has no table {stream.source_name}. Make it (a DVD Rental comes from dvd-rental source restore "
            "FILE, or dvd-rental source generate), or take the stream out of the catalog."
        )
    oid, partitioned = found
    published = _published_columns(connection, stream, publication)
    rows = connection.execute(
        """
        select attname, atttypid::int8, atttypmod, attnum
        from pg_catalog.pg_attribute
        where
            attrelid = %s::oid
            and attnum > 0
            and not attisdropped
            and attname = any(%s)
            and (attgenerated = '' or %s)
        order by attnum
        """,
        (oid, published, connection.info.server_version >= _PUBLISHES_GENERATED),
    ).fetchall()
    columns = tuple(types.column(*fields) for fields in rows)
    check_names(stream, columns)
    check_identity(connection, stream, oid)
    missing = [name for name in stream.primary_key if name not in {column.name for column in columns}]
    if missing:
        raise StreamTableError(
            f"{stream.source_name} has no column {', '.join(missing)}, which the stream's key needs. The table is not "
            "the one that the catalog describes, or it was changed."
        )
    return Table(stream, columns, stream.primary_key, oid, partitioned)


def _published_columns(connection: Connection[Any], stream: Stream, publication: str) -> list[str]:
    """Names of the columns that the log carries; before PostgreSQL 15 a publication has no column lists."""
    if connection.info.server_version >= 150000:  # noqa: PLR2004
        query = (
            "select unnest(attnames)::text from pg_catalog.pg_publication_tables"
            " where pubname = %s and schemaname = %s and tablename = %s"
        )
    else:
        query = (
            "select attribute.attname::text from pg_catalog.pg_publication_tables as published"
            " inner join pg_catalog.pg_attribute as attribute"
            " on attribute.attrelid = format('%%I.%%I', published.schemaname, published.tablename)::regclass"
            " where published.pubname = %s and published.schemaname = %s and published.tablename = %s"
        )
    return [name for (name,) in connection.execute(query, (publication, *stream.source_table))]


def table_oids(connection: Connection[Any], tables: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The source's numbers for those of the tables that exist."""
    rows = connection.execute(
        """
        select namespace.nspname, class.relname, class.oid::int8
        from pg_catalog.pg_class as class
        inner join pg_catalog.pg_namespace as namespace on class.relnamespace = namespace.oid
        inner join unnest(%s::text[], %s::text[]) as wanted(namespace, name)
            on namespace.nspname = wanted.namespace and class.relname = wanted.name
        """,
        ([namespace for namespace, _ in tables], [name for _, name in tables]),
    ).fetchall()
    return {(namespace, name): oid for namespace, name, oid in rows}
