"""A stream in a PostgreSQL warehouse compared with rows of the source."""

from typing import Any

import pyarrow as pa
from psycopg import Connection, sql

from dvd_rental_dagster.replication.destinations import Checksum
from dvd_rental_dagster.replication.destinations.postgres_copy import copy_rows
from dvd_rental_dagster.replication.destinations.postgres_load import snapshot_types, snapshot_values
from dvd_rental_dagster.replication.destinations.postgres_tables import identity, listed
from dvd_rental_dagster.replication.table import Table


class PostgresComparison:
    """Compares ``raw``'s rows of one stream with rows of a snapshot, value by value as texts of the same types."""

    def __init__(self, connection: Connection[Any], table: Table) -> None:
        self._connection = connection
        self._table = table

    def checksums(self, rows: pa.RecordBatchReader) -> tuple[Checksum, Checksum]:
        """See ``Destination.checksums``."""
        self._copy(rows)
        return self._checksum(self._source(rows)), self._checksum(self._raw())

    def differing_keys(self, rows: pa.RecordBatchReader, limit: int) -> tuple[tuple[Any, ...], ...]:
        """See ``Destination.differing_keys``; without a key they are the texts of all columns."""
        self._copy(rows)
        number = listed(sql.SQL(str(place)) for place in range(1, len(self._table.identifying) + 1))
        found = self._connection.execute(
            sql.SQL(
                """
                with source as (select * from {source} as rows), held as (select * from {raw} as rows),
                missing as (select * from source except all select * from held),
                surplus as (select * from held except all select * from source),
                differing as (select * from missing union all select * from surplus)
                select distinct {key} from differing order by {number} limit {limit}
                """
            ).format(
                source=self._source(rows),
                raw=self._raw(),
                key=listed(self._key_names()),
                number=number,
                limit=sql.Literal(limit),
            )
        )
        return tuple(found.fetchall())

    def _copy(self, rows: pa.RecordBatchReader) -> None:
        types = snapshot_types(self._table.columns, rows.schema)
        copy_rows(self._connection, "source_rows", types, (list(batch.columns) for batch in rows))

    def _source(self, rows: pa.RecordBatchReader) -> sql.Composed:
        """The source's rows: identity and key."""
        values = dict(
            zip(
                (column.name for column in self._table.columns),
                snapshot_values(self._table.columns, rows.schema),
                strict=True,
            )
        )
        return self._rows(values, sql.Identifier("pg_temp", "source_rows"))

    def _raw(self) -> sql.Composed:
        """The warehouse's rows: identity and key."""
        values: dict[str, sql.Composable] = {column.name: sql.Identifier(column.name) for column in self._table.columns}
        return self._rows(values, sql.Identifier("raw", self._table.stream.name))

    def _rows(self, values: dict[str, sql.Composable], relation: sql.Identifier) -> sql.Composed:
        as_text = sql.SQL("" if self._table.key else "::text")
        key = (
            sql.SQL("({}){} as {}").format(values[part], as_text, name)
            for part, name in zip(self._table.identifying, self._key_names(), strict=True)
        )
        return sql.SQL("(select {}, {} as _airbyte_row from {})").format(
            listed(key), identity(sql.SQL("({})").format(value) for value in values.values()), relation
        )

    def _key_names(self) -> list[sql.Composable]:
        return [sql.Identifier(f"key_{number}") for number in range(len(self._table.identifying))]

    def _checksum(self, relation: sql.Composed) -> Checksum:
        row = self._connection.execute(
            sql.SQL("select count(*), coalesce(sum(hash_array_extended(_airbyte_row, 0)), 0) from {} as rows").format(
                relation
            )
        ).fetchone()
        assert row is not None  # noqa: S101  # an aggregate has one row
        return Checksum(int(row[0]), int(row[1]))
