"""How the log tells the rows of a table apart: its replica identity, against the key of its stream.

An update or a delete in the log carries of the old row the columns of the identity (PostgreSQL documentation, ALTER
TABLE, "REPLICA IDENTITY"). Only if these are the stream's key, or the whole row, does every version have its key.
"""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import StreamTableError
from dvd_rental_dagster.replication.pgoutput import Relation

_NOTHING, _FULL = "n", "f"


def check_identity(connection: Connection[Any], stream: Stream, table_oid: int) -> None:
    """Make sure that the log tells the table's rows apart by the stream's key, as the table is now.

    A stream without a key may have a table without an identity: the server lets nobody update or delete its rows.

    Raises:
        StreamTableError: the identity is missing or another than the key, or two rows can have one key.
    """
    row = connection.execute(
        """
        with index as (
            select
                indisprimary, indisreplident,
                array_agg(attname::text order by attnum) as columns,
                bool_and(attnotnull) as is_not_null
            from pg_catalog.pg_index
            inner join pg_catalog.pg_attribute
                on attrelid = indrelid and attnum = any((indkey::int2[])[0:indnkeyatts - 1])
            where indrelid = %(table)s::oid
                and indisunique and indimmediate and indisvalid and indpred is null and indexprs is null
            group by indexrelid, indisprimary, indisreplident
        )
        select
            relreplident::text,
            (
                select columns from index
                where case relreplident when 'd' then indisprimary when 'i' then indisreplident else false end
            ),
            exists (select from index where is_not_null and columns <@ %(key)s::text[])
        from pg_catalog.pg_class
        where oid = %(table)s::oid
        """,
        {"table": table_oid, "key": list(stream.primary_key)},
    ).fetchone()
    if row is None:
        return  # a table that is gone has no rows to tell apart any more
    identity, columns, is_unique = row
    name = stream.source_name
    if identity != _FULL and stream.primary_key and not columns:
        has = "nothing" if identity == _NOTHING else "default, without a primary key that holds at every moment"
        raise StreamTableError(
            f"The log cannot tell the rows of {name} apart: its replica identity is {has}. "
            f"Run: alter table {name} replica identity {'default' if identity == _NOTHING else 'full'}."
        )
    if identity == _FULL and stream.primary_key and not is_unique:
        raise StreamTableError(
            f"Two rows of {name} can have one {', '.join(stream.primary_key)}, the stream's key: nothing keeps "
            "it unique and not null at every moment. Make it the primary key, and not deferrable."
        )
    _compare(stream, tuple(columns or ()), stream.primary_key, f"Run: alter table {name} replica identity full.")


def identifying_columns(relation: Relation, stream: Stream, present: Mapping[str, str]) -> tuple[str, ...]:
    """The columns by which the log tells the table's rows apart (54.9, the flag of a column), empty for a bag of rows.

    The whole row names no key: there it is the stream's own. ``present`` maps the columns' names to those that they
    have by now, as the stream's key has them.

    Raises:
        StreamTableError: they are others than the stream's key, although the table's identity is in order by now.
    """
    then = {present.get(column.name, column.name): column.name for column in relation.columns}
    key = tuple(then.get(part, part) for part in stream.primary_key)
    if relation.replica_identity == _FULL:
        return key
    columns = tuple(column.name for column in relation.columns if column.in_identity)
    _compare(stream, columns, key, f"Load the stream again: dvd-rental resync {stream.name}.")
    return columns and key


def _compare(stream: Stream, columns: tuple[str, ...], key: tuple[str, ...], remedy: str) -> None:
    if columns and set(columns) != set(key):
        raise StreamTableError(
            f"The log tells the rows of {stream.source_name} apart by {', '.join(columns)}, and the stream's key is "
            f"{', '.join(key) or 'the whole row'}. {remedy}"
        )
