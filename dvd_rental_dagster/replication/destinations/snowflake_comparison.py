"""A stream in Snowflake compared with rows of the source."""

from typing import Any

import pyarrow as pa

from dvd_rental_dagster.replication.destinations import Checksum
from dvd_rental_dagster.replication.destinations.snowflake_load import stage_snapshot
from dvd_rental_dagster.replication.destinations.snowflake_session import SnowflakeSession
from dvd_rental_dagster.replication.destinations.snowflake_stage import Stage
from dvd_rental_dagster.replication.destinations.snowflake_tables import listed
from dvd_rental_dagster.replication.destinations.snowflake_types import column_type, quoted, written
from dvd_rental_dagster.replication.table import Table


class SnowflakeComparison:
    """Compares ``raw``'s rows of one stream with rows of a snapshot, value by value after the same casts."""

    def __init__(self, session: SnowflakeSession, stage: Stage, table: Table) -> None:
        self._session = session
        self._stage = stage
        self._table = table
        # Another engine may have loaded the values as other types; ours are cast to what they are.
        values = ", ".join(
            f"{quoted(column.name)}::{column_type(column)} as {quoted(column.name)}" for column in table.columns
        )
        self._raw = f"(select {values} from RAW.{quoted(table.stream.name)})"
        self._hash = f"hash({listed(column.name for column in table.columns)})"

    def checksums(self, rows: pa.RecordBatchReader) -> tuple[Checksum, Checksum]:
        """See ``Destination.checksums``."""
        source, _ = stage_snapshot(self._stage, self._table, rows)
        found = self._checksum(source), self._checksum(self._raw)
        self._session.forget()
        return found

    def differing_keys(self, rows: pa.RecordBatchReader, limit: int) -> tuple[tuple[Any, ...], ...]:
        """See ``Destination.differing_keys``."""
        source, _ = stage_snapshot(self._stage, self._table, rows)
        # Values of some types cannot be sorted; without a key the texts of all columns are it.
        parts = [quoted(part) for part in self._table.key] or [
            written(quoted(column.name), column_type(column)) for column in self._table.columns
        ]
        names = [f"KEY_{number}" for number in range(len(parts))]
        key, named = ", ".join(names), ", ".join(f"{part} as {name}" for part, name in zip(parts, names, strict=True))
        found = self._session.ask(
            f"""
            with sides as (
                select {named}, {self._hash} as _AIRBYTE_ROW, 1 as _AIRBYTE_SIDE from {source}
                union all
                select {named}, {self._hash} as _AIRBYTE_ROW, -1 as _AIRBYTE_SIDE from {self._raw} as held
            ),
            differing as (
                select {key} from sides group by {key}, _AIRBYTE_ROW having sum(_AIRBYTE_SIDE) <> 0
            )
            select distinct {key} from differing order by {key} limit {limit}
            """
        )
        self._session.forget()
        return tuple(found)

    def _checksum(self, relation: str) -> Checksum:
        [(rows, checksum)] = self._session.ask(
            f"select count(*), coalesce(sum({self._hash}), 0) from {relation} as compared"
        )
        return Checksum(int(rows), int(checksum))
