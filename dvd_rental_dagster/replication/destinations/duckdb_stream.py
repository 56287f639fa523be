"""One stream in a DuckDB file: its rows in ``raw`` and their versions in ``history``.

Each method runs inside the destination's transaction.
"""

import json
from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pyarrow as pa

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.errors import StreamTableError
from dvd_rental_dagster.replication.destinations.duckdb_types import cast_from_text, column_type, quoted, snapshot_value
from dvd_rental_dagster.replication.ledger import Stamp, StreamState
from dvd_rental_dagster.replication.rows import Changes, Operation
from dvd_rental_dagster.replication.table import Table

_AT = "make_timestamptz(?)"
_NEVER = "cast(null as timestamptz)"


class DuckDBStream:
    """A stream's two tables; ``stamp`` and ``state`` are what its new rows carry."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, stamp: Stamp, table: Table, state: StreamState) -> None:
        self._connection = connection
        self._stamp = stamp
        self._table = table
        self._state = state
        self._name = quoted(table.stream.name)
        self._key = ", ".join(quoted(part) for part in table.key)
        self._names = ", ".join(
            (
                "_airbyte_raw_id, _airbyte_extracted_at, _airbyte_meta, _airbyte_generation_id",
                *(quoted(column.name) for column in table.columns),
                "_ab_cdc_lsn, _ab_cdc_updated_at, _ab_cdc_deleted_at",
            )
        )

    def create(self) -> None:
        """Make the stream's tables where they are missing."""
        source = ", ".join(f"{quoted(column.name)} {column_type(column)}" for column in self._table.columns)
        columns = (
            "_airbyte_raw_id varchar not null, _airbyte_extracted_at timestamptz not null, _airbyte_meta json not null,"
            f" _airbyte_generation_id bigint not null, {source}, _ab_cdc_lsn bigint,"
            " _ab_cdc_updated_at timestamptz, _ab_cdc_deleted_at timestamptz"
        )
        for schema in ("raw", "history"):
            self._connection.execute(f"create table if not exists {schema}.{self._name} ({columns})")

    def load(self, rows: pa.RecordBatchReader, floor_lsn: int) -> int:
        """Replace the stream by a full load; see ``Destination.load``."""
        values = [snapshot_value(column, rows) for column in self._table.columns]
        row = self._row(values, str(floor_lsn), f"make_timestamptz({self._stamp.extracted_at})", _NEVER)
        self._connection.register("snapshot_rows", rows)
        if self._state.mode is SyncMode.FULL_REFRESH_OVERWRITE:
            self._connection.execute(f"delete from raw.{self._name}")
            count = self._insert("raw", f"select {row} from snapshot_rows")
        elif self._count(f"(select 1 from raw.{self._name} limit 1)"):
            count = self._reload(f"select {row} from snapshot_rows", floor_lsn)
        else:
            count = self._insert("raw", f"select {row} from snapshot_rows")
            self._insert("history", f"select {self._names} from raw.{self._name}")
        self._connection.unregister("snapshot_rows")
        return count

    def _reload(self, rows: str, floor_lsn: int) -> int:
        """Load over rows that are there: ``history`` gets the versions that differ from them, and the deletes."""
        self._connection.execute(f"create or replace temp table loaded as {rows}")
        differs = " or ".join(
            f"loaded.{quoted(column.name)} is distinct from before.{quoted(column.name)}"
            for column in self._table.columns
        )
        same_key = " and ".join(f"loaded.{quoted(part)} = before.{quoted(part)}" for part in self._table.key)
        self._insert(
            "history",
            f"select loaded.* from loaded left join {self._latest()} as before on {same_key}"
            f" where before.{quoted(self._table.key[0])} is null or {differs}",
        )
        gone = self._row([f"before.{quoted(column.name)}" for column in self._table.columns], str(floor_lsn), _AT, _AT)
        self._insert(
            "history",
            f"select {gone} from {self._latest()} as before anti join loaded on {same_key}"
            " where before._ab_cdc_deleted_at is null",
            [self._stamp.extracted_at] * 2,
        )
        if self._state.mode is not SyncMode.INCREMENTAL_APPEND:
            self._connection.execute(f"delete from raw.{self._name}")
        count = self._insert("raw", f"select {self._names} from loaded")
        self._connection.execute("drop table loaded")
        return count

    def apply(self, changes: Changes) -> None:
        """Apply changes; see ``Destination.apply``."""
        for part, rekeyed in _resolvable_parts(changes):
            self._stage(part)
            if rekeyed:
                self._fill_from_old_key(tuple(part.unchanged))
            elif part.unchanged:
                self._fill_unchanged(tuple(part.unchanged))
            self._merge(only_inserts=not (part.operation != Operation.INSERT).any())

    def _stage(self, changes: Changes) -> None:
        """Cast the changes into the temporary table ``staged``, one row a change."""
        arrays: dict[str, pa.Array] = {}
        values: list[str] = []
        for column in self._table.columns:
            if column.name in changes.columns:
                arrays[column.name] = changes.columns[column.name]
                values.append(cast_from_text(column, quoted(column.name)))
            else:
                values.append(f"cast(null as {column_type(column)})")
        arrays |= {f"_unchanged_{name}": pa.array(mask) for name, mask in changes.unchanged.items()}
        arrays |= {
            "_sequence": pa.array(np.arange(len(changes))),
            "_operation": pa.array(changes.operation),
            "_lsn": pa.array(changes.lsn),
            "_committed_at": pa.array(changes.committed_at),
        }
        at = "make_timestamptz(_committed_at)"
        row = self._row(values, "_lsn", at, f"case when _operation = {Operation.DELETE} then {at} end")
        flags = "".join(f", {quoted(f'_unchanged_{name}')}" for name in changes.unchanged)
        self._connection.register("changes", pa.table(arrays))
        self._connection.execute(f"create or replace temp table staged as select {row}, _sequence{flags} from changes")
        self._connection.unregister("changes")

    def _fill_unchanged(self, names: Sequence[str]) -> None:
        """Give a value that the log left out as unchanged the last value before it: staged, or in the warehouse."""
        columns = ", ".join(quoted(column) for column in names)
        flags = ", ".join(quoted(f"_unchanged_{column}") for column in names)
        held = ", ".join(f"false as {quoted(f'_unchanged_{column}')}" for column in names)
        window = f"over (partition by {self._key} order by _sequence rows unbounded preceding)"
        filled = ", ".join(
            f"last_value(case when not {quoted(f'_unchanged_{column}')} then {{'value': {quoted(column)}}} end"
            f" ignore nulls) {window} as {quoted(column)}"
            for column in names
        )
        assigned = ", ".join(f"{quoted(column)} = filled.{quoted(column)}.value" for column in names)
        self._connection.execute(
            f"""
            with held as (
                select {self._key}, {columns}, -1 as _sequence, {held}
                from {self._latest()} semi join staged using ({self._key})
            ),
            versions as (
                select {self._key}, {columns}, _sequence, {flags} from held
                union all
                select {self._key}, {columns}, _sequence, {flags} from staged
            ),
            filled as (select _sequence, {filled} from versions)
            update staged set {assigned} from filled where staged._sequence = filled._sequence and filled._sequence >= 0
            """
        )

    def _fill_from_old_key(self, names: Sequence[str]) -> None:
        """Give the second staged row, which changed its key, what the warehouse holds for the first, its old key."""
        columns = ", ".join(quoted(column) for column in names)
        assigned = ", ".join(f"{quoted(column)} = held.{quoted(column)}" for column in names)
        self._connection.execute(
            f"""
            with old_key as (select * from staged where _sequence = 0),
            held as (select {columns} from {self._latest()} semi join old_key using ({self._key}))
            update staged set {assigned} from held where staged._sequence = 1
            """
        )

    def _merge(self, *, only_inserts: bool) -> None:
        """Write what is staged to ``history``, and to ``raw`` what the stream's mode keeps of it."""
        staged = f"select {self._names} from staged"
        self._insert("history", staged)
        if self._state.mode is SyncMode.INCREMENTAL_APPEND or only_inserts:
            self._insert("raw", staged)
            return
        matches = " and ".join(f"target.{quoted(part)} = staged.{quoted(part)}" for part in self._table.key)
        self._connection.execute(f"delete from raw.{self._name} as target using staged where {matches}")
        self._insert(
            "raw",
            f"""
            with latest as (
                select * from staged qualify row_number() over (partition by {self._key} order by _sequence desc) = 1
            )
            select {self._names} from latest where _ab_cdc_deleted_at is null
            """,
        )

    def truncate(self, lsn: int, committed_at: int) -> int:
        """Empty the stream; see ``Destination.truncate``."""
        row = self._row([quoted(column.name) for column in self._table.columns], str(lsn), _AT, _AT)
        live = f"from {self._latest()} where _ab_cdc_deleted_at is null"
        at = [committed_at] * 2
        count = self._count(f"(select 1 {live})")
        self._connection.execute(f"create or replace temp table emptied as select {row} {live}", at)
        self._insert("history", f"select {self._names} from emptied")
        if self._state.mode is SyncMode.INCREMENTAL_APPEND:
            self._insert("raw", f"select {self._names} from emptied")
        else:
            self._connection.execute(f"delete from raw.{self._name}")
        self._connection.execute("drop table emptied")
        return count

    def evolve(self, before: Table) -> None:
        """Bring the columns from ``before`` to the stream's table; see ``Destination.evolve``."""
        known = {column.name: column for column in before.columns}
        for column in self._table.columns:
            held = known.get(column.name)
            if held is None:
                for schema in ("raw", "history"):
                    self._connection.execute(
                        f"alter table {schema}.{self._name} add column if not exists"
                        f" {quoted(column.name)} {column_type(column)}"
                    )
            elif column_type(held) != column_type(column):
                stream = self._table.stream
                raise StreamTableError(
                    f"Column {column.name} of {stream.namespace}.{stream.name} became {column_type(column)}; the "
                    f"warehouse has {column_type(held)}. Load the stream again: dvd-rental resync {stream.name}."
                )

    def _row(self, values: Sequence[str], lsn: str, updated_at: str, deleted_at: str) -> str:
        """The select list of one row of the contract; the arguments are SQL expressions."""
        meta = json.dumps({"sync_id": self._stamp.sync_id, "changes": []})
        named = (f"{value} as {quoted(column.name)}" for value, column in zip(values, self._table.columns, strict=True))
        return ", ".join(
            (
                "cast(uuid() as varchar) as _airbyte_raw_id",
                f"make_timestamptz({self._stamp.extracted_at}) as _airbyte_extracted_at",
                f"cast('{meta}' as json) as _airbyte_meta",
                f"cast({self._state.generation} as bigint) as _airbyte_generation_id",
                *named,
                f"cast({lsn} as bigint) as _ab_cdc_lsn",
                f"{updated_at} as _ab_cdc_updated_at",
                f"{deleted_at} as _ab_cdc_deleted_at",
            )
        )

    def _latest(self) -> str:
        """The last version of every key in ``raw``, as a relation."""
        if self._state.mode is not SyncMode.INCREMENTAL_APPEND:
            return f"raw.{self._name}"
        last = f"row_number() over (partition by {self._key} order by _ab_cdc_lsn desc) = 1"
        return f"(select * from raw.{self._name} qualify {last})"

    def _insert(self, schema: str, rows: str, parameters: Sequence[object] = ()) -> int:
        """Insert the rows of a query and return their number."""
        query = f"insert into {schema}.{self._name} ({self._names}) {rows}"
        [(count,)] = self._connection.execute(query, parameters).fetchall()
        return int(count)

    def _count(self, relation: str) -> int:
        [(count,)] = self._connection.execute(f"select count(*) from {relation}").fetchall()
        return int(count)


def _resolvable_parts(changes: Changes) -> Iterator[tuple[Changes, bool]]:
    """Cut out each row that changed its key and left values out, with the delete of the old key before it.

    Such a pair is marked true: its values are those of the old key, and what comes before it must have landed by then.
    """
    left_out = np.zeros(len(changes), dtype=np.bool_)
    for mask in changes.unchanged.values():
        left_out |= mask
    start = 0
    for row in np.flatnonzero(left_out & changes.rekeyed):
        if start < row - 1:
            yield changes.slice(start, int(row) - 1), False
        yield changes.slice(int(row) - 1, int(row) + 1), True
        start = int(row) + 1
    if start == 0:
        yield changes, False
    elif start < len(changes):
        yield changes.slice(start, len(changes)), False
