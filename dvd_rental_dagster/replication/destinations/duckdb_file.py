"""DuckDB, the embedded warehouse: one file, one writing process."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.errors import StreamTableError, WarehouseBusyError, WarehouseError
from dvd_rental_dagster.replication.column import Column, Kind
from dvd_rental_dagster.replication.ledger import Ledger, SourceIdentity, Stamp, StreamState
from dvd_rental_dagster.replication.rows import Changes, Operation
from dvd_rental_dagster.replication.table import Table

_TYPES: dict[Kind, str] = {
    Kind.SMALLINT: "smallint",
    Kind.INTEGER: "integer",
    Kind.BIGINT: "bigint",
    Kind.REAL: "real",
    Kind.DOUBLE: "double",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "varchar",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamp",
    Kind.TIMESTAMPTZ: "timestamptz",
    Kind.TIME: "time",
    Kind.UUID: "uuid",
    Kind.BYTES: "blob",
    Kind.JSON: "json",
    Kind.ARRAY: "json",
}
_LEDGER_TABLES = """
create schema if not exists raw;
create schema if not exists history;
create schema if not exists ledger;
create table if not exists ledger.position (
    system_identifier varchar not null,
    database_oid bigint not null,
    slot varchar not null,
    lsn bigint not null,
    sync_id bigint not null,
    extracted_at timestamptz not null,
    committed_at timestamptz not null
);
create table if not exists ledger.streams (
    stream varchar not null,
    generation_id bigint not null,
    mode varchar not null,
    snapshot_lsn bigint not null,
    columns json not null
);
"""
_DROPPED_ERA = r"^(\d+-\d\d-\d\d)(.*) BC$"


def quoted(name: str) -> str:
    """An identifier as DuckDB reads it literally."""
    return '"' + name.replace('"', '""') + '"'


def column_type(column: Column) -> str:
    """DuckDB's type for a source column."""
    if column.kind is Kind.DECIMAL:
        return f"decimal({column.precision}, {column.scale})"
    return _TYPES[column.kind]


def cast_from_text(column: Column, value: str) -> str:
    """The expression that turns PostgreSQL's text form into DuckDB's type."""
    target = column_type(column)
    match column.kind:
        case Kind.TEXT | Kind.ARRAY:
            return f"cast({value} as {target})"
        case Kind.BYTES:
            return f"unhex(substr({value}, 3))"
        case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ:
            dated = rf"regexp_replace({value}, '{_DROPPED_ERA}', '\1 (BC)\2')"
            return f"cast(case when suffix({value}, ' BC') then {dated} else {value} end as {target})"
        case _:
            return f"cast({value} as {target})"


@contextmanager
def open_for_writing(path: Path, *, wait_seconds: float = 30) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse's file, waiting for another process to let go of it.

    Raises:
        WarehouseBusyError: another process still holds it after ``wait_seconds``.
        WarehouseError: the file is damaged, unreadable or not DuckDB's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            connection = duckdb.connect(path, config={"preserve_insertion_order": False})
            break
        except duckdb.Error as error:
            if "lock" not in str(error).lower():
                raise WarehouseError(
                    f"The warehouse {path} cannot be opened: {error}. If the file is damaged, remove it with "
                    "dvd-rental reset --warehouse and load it again with dvd-rental run."
                ) from error
            if time.monotonic() > deadline:
                raise WarehouseBusyError(
                    f"Another process holds the warehouse {path}: {error}. Wait for it to finish, or stop it."
                ) from error
        time.sleep(0.1)
    try:
        connection.execute("set timezone = 'UTC'")
        yield connection
    finally:
        connection.close()


class DuckDBDestination:
    """``Destination`` on a DuckDB file."""

    def __init__(self, path: Path, *, wait_seconds: float = 30) -> None:
        self._path = path
        self._wait_seconds = wait_seconds
        self._stamp = Stamp(0, 0)

    def __enter__(self) -> Self:
        self._opened = open_for_writing(self._path, wait_seconds=self._wait_seconds)
        self._connection = self._opened.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, traceback)

    def read_ledger(self) -> Ledger | None:
        known = self._all("select 1 from duckdb_tables() where schema_name = 'ledger' and table_name = 'position'")
        rows = known and self._all(
            """
            select
                system_identifier, database_oid, slot, lsn, sync_id,
                epoch_us(extracted_at), epoch_us(committed_at)
            from ledger.position
            """
        )
        if not rows:
            return None
        system_identifier, database_oid, slot, lsn, sync_id, extracted_at, committed_at = rows[0]
        streams = {
            name: StreamState(
                generation, SyncMode(mode), snapshot_lsn, tuple(Column.from_json(fields) for fields in json.loads(columns))
            )
            for name, generation, mode, snapshot_lsn, columns in self._all(
                "select stream, generation_id, mode, snapshot_lsn, columns from ledger.streams"
            )
        }
        identity = SourceIdentity(system_identifier, database_oid)
        return Ledger(identity, slot, lsn, sync_id, extracted_at, committed_at, streams)

    def begin(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._connection.execute("begin transaction")
        self._connection.execute(_LEDGER_TABLES)

    def commit(self, ledger: Ledger) -> None:
        self._connection.execute("delete from ledger.position")
        self._connection.execute(
            "insert into ledger.position values (?, ?, ?, ?, ?, make_timestamptz(?), make_timestamptz(?))",
            [
                ledger.identity.system_identifier, ledger.identity.database_oid, ledger.slot, ledger.lsn,
                ledger.sync_id, ledger.extracted_at, ledger.committed_at,
            ],
        )  # fmt: skip
        self._connection.execute("delete from ledger.streams")
        self._connection.executemany(
            "insert into ledger.streams values (?, ?, ?, ?, ?)",
            [
                [name, state.generation, state.mode.value, state.snapshot_lsn,
                 json.dumps([column.as_json() for column in state.columns])]
                for name, state in sorted(ledger.streams.items())
            ],
        )  # fmt: skip
        self._connection.execute("commit")

    def load(self, table: Table, state: StreamState, rows: pa.RecordBatchReader, floor_lsn: int) -> int:
        self._create(table)
        self._connection.register("snapshot_rows", rows)
        values = [
            cast_from_text(column, quoted(column.name)) if rows.schema.field(column.name).type == pa.string() else
            f"cast({quoted(column.name)} as {column_type(column)})"
            for column in table.columns
        ]  # fmt: skip
        target = f"raw.{quoted(table.stream.name)}"
        self._connection.execute(
            f"create or replace temp table loaded as select {self._row(table, state, values, str(floor_lsn))}"
            " from snapshot_rows"
        )
        self._connection.unregister("snapshot_rows")
        if state.mode is not SyncMode.FULL_REFRESH_OVERWRITE:
            self._record_load(table, state, floor_lsn)
        names = self._names(table)
        if state.mode is not SyncMode.INCREMENTAL_APPEND:
            self._connection.execute(f"delete from {target}")
        self._connection.execute(f"insert into {target} ({names}) select {names} from loaded")
        (count,) = self._all("select count(*) from loaded")[0]
        self._connection.execute("drop table loaded")
        return int(count)

    def _record_load(self, table: Table, state: StreamState, floor_lsn: int) -> None:
        """Write what a full load changed to ``history``: versions that differ from ``raw``, and deletes."""
        name = quoted(table.stream.name)
        names = self._names(table)
        key = " and ".join(f"loaded.{quoted(part)} = before.{quoted(part)}" for part in table.key)
        differs = " or ".join(
            f"loaded.{quoted(column.name)} is distinct from before.{quoted(column.name)}" for column in table.columns
        )
        if not self._all(f"select 1 from raw.{name} limit 1"):
            self._connection.execute(f"insert into history.{name} ({names}) select {names} from loaded")
            return
        values = ", ".join(f"loaded.{quoted(own)}" for own in self._name_list(table))
        self._connection.execute(
            f"insert into history.{name} ({names}) select {values} from loaded left join raw.{name} as before on {key}"
            f" where before.{quoted(table.key[0])} is null or {differs}"
        )
        gone = [f"before.{quoted(column.name)}" for column in table.columns]
        row = self._row(table, state, gone, str(floor_lsn), "make_timestamptz(?)", "make_timestamptz(?)")
        at = [self._stamp.extracted_at, self._stamp.extracted_at]
        self._connection.execute(
            f"insert into history.{name} ({names}) select {row} from raw.{name} as before anti join loaded on {key}", at
        )

    def apply(self, table: Table, state: StreamState, changes: Changes) -> None:
        for part, rekeyed in _resolvable_parts(changes):
            self._stage(table, state, part)
            if rekeyed:
                self._fill_from_old_key(table, state, tuple(part.unchanged))
            elif part.unchanged:
                self._fill_unchanged(table, state, tuple(part.unchanged))
            self._merge(table, state, only_inserts=not (part.operation != Operation.INSERT).any())

    def _stage(self, table: Table, state: StreamState, changes: Changes) -> None:
        """Cast the changes into the temporary table ``staged``, one row a change."""
        arrays: dict[str, pa.Array] = {}
        values: list[str] = []
        for column in table.columns:
            if column.name not in changes.columns:
                values.append(f"cast(null as {column_type(column)})")
                continue
            arrays[column.name] = changes.columns[column.name]
            values.append(cast_from_text(column, quoted(column.name)))
        arrays |= {f"_unchanged_{name}": pa.array(mask) for name, mask in changes.unchanged.items()}
        arrays |= {
            "_sequence": pa.array(range(len(changes)), pa.int64()),
            "_operation": pa.array(changes.operation),
            "_lsn": pa.array(changes.lsn),
            "_committed_at": pa.array(changes.committed_at),
        }
        at = "make_timestamptz(_committed_at)"
        deleted = f"case when _operation = {Operation.DELETE} then {at} end"
        flags = "".join(f", {quoted(f'_unchanged_{name}')}" for name in changes.unchanged)
        self._connection.register("changes", pa.table(arrays))
        self._connection.execute(
            f"create or replace temp table staged as select {self._row(table, state, values, '_lsn', at, deleted)},"
            f" _sequence{flags} from changes"
        )
        self._connection.unregister("changes")

    def _fill_unchanged(self, table: Table, state: StreamState, names: Sequence[str]) -> None:
        """Give a value that the log left out as unchanged the last value before it: staged, or in the warehouse."""
        name = quoted(table.stream.name)
        key = ", ".join(quoted(part) for part in table.key)
        columns = ", ".join(quoted(column) for column in names)
        held = ", ".join(f"false as {quoted(f'_unchanged_{column}')}" for column in names)
        flags = ", ".join(quoted(f"_unchanged_{column}") for column in names)
        filled = ", ".join(
            f"last_value(case when not {quoted(f'_unchanged_{column}')} then {{'value': {quoted(column)}}} end ignore nulls)"
            f" over (partition by {key} order by _sequence rows unbounded preceding) as {quoted(column)}"
            for column in names
        )
        assigned = ", ".join(f"{quoted(column)} = filled.{quoted(column)}.value" for column in names)
        self._connection.execute(
            f"""
            with held as (
                select {key}, {columns}, -1 as _sequence, {held}
                from {self._latest(table, state)} semi join staged using ({key})
            ),
            versions as (
                select {key}, {columns}, _sequence, {flags} from held
                union all
                select {key}, {columns}, _sequence, {flags} from staged
            ),
            filled as (select _sequence, {filled} from versions)
            update staged set {assigned} from filled where staged._sequence = filled._sequence and filled._sequence >= 0
            """
        )

    def _fill_from_old_key(self, table: Table, state: StreamState, names: Sequence[str]) -> None:
        """Give the second staged row, which changed its key, what the warehouse holds for the first, its old key."""
        key = ", ".join(quoted(part) for part in table.key)
        columns = ", ".join(quoted(column) for column in names)
        assigned = ", ".join(f"{quoted(column)} = held.{quoted(column)}" for column in names)
        self._connection.execute(
            f"""
            with old_key as (select * from staged where _sequence = 0),
            held as (select {columns} from {self._latest(table, state)} semi join old_key using ({key}))
            update staged set {assigned} from held where staged._sequence = 1
            """
        )

    @staticmethod
    def _latest(table: Table, state: StreamState) -> str:
        """The last version of every key in ``raw``, as a relation."""
        name = quoted(table.stream.name)
        if state.mode is SyncMode.INCREMENTAL_DEDUPED_HISTORY:
            return f"raw.{name}"
        key = ", ".join(quoted(part) for part in table.key)
        return f"(select * from raw.{name} qualify row_number() over (partition by {key} order by _ab_cdc_lsn desc) = 1)"

    def _merge(self, table: Table, state: StreamState, *, only_inserts: bool) -> None:
        name = quoted(table.stream.name)
        names = self._names(table)
        key = ", ".join(quoted(part) for part in table.key)
        self._connection.execute(f"insert into history.{name} ({names}) select {names} from staged order by _sequence")
        if state.mode is SyncMode.INCREMENTAL_APPEND or only_inserts:
            self._connection.execute(f"insert into raw.{name} ({names}) select {names} from staged order by _sequence")
            return
        matches = " and ".join(f"target.{quoted(part)} = staged.{quoted(part)}" for part in table.key)
        self._connection.execute(f"delete from raw.{name} as target using staged where {matches}")
        self._connection.execute(
            f"""
            insert into raw.{name} ({names})
            with latest as (
                select * from staged qualify row_number() over (partition by {key} order by _sequence desc) = 1
            )
            select {names} from latest where _ab_cdc_deleted_at is null
            """
        )

    def truncate(self, table: Table, state: StreamState, lsn: int, committed_at: int) -> int:
        name = quoted(table.stream.name)
        values = [quoted(column.name) for column in table.columns]
        row = self._row(table, state, values, str(lsn), "make_timestamptz(?)", "make_timestamptz(?)")
        names = self._names(table)
        (count,) = self._all(f"select count(*) from {self._latest(table, state)} where _ab_cdc_deleted_at is null")[0]
        at = [committed_at, committed_at]
        if state.mode is SyncMode.INCREMENTAL_APPEND:
            tombstones = f"select {row} from {self._latest(table, state)} where _ab_cdc_deleted_at is null"
            self._connection.execute(f"insert into history.{name} ({names}) {tombstones}", at)
            self._connection.execute(f"insert into raw.{name} ({names}) {tombstones}", at)
        else:
            self._connection.execute(f"insert into history.{name} ({names}) select {row} from raw.{name}", at)
            self._connection.execute(f"delete from raw.{name}")
        return int(count)

    def evolve(self, before: Table, after: Table) -> None:
        known = {column.name: column for column in before.columns}
        for column in after.columns:
            held = known.get(column.name)
            if held is None:
                for schema in ("raw", "history"):
                    self._connection.execute(
                        f"alter table {schema}.{quoted(after.stream.name)}"
                        f" add column if not exists {quoted(column.name)} {column_type(column)}"
                    )
            elif column_type(held) != column_type(column):
                raise StreamTableError(
                    f"Column {column.name} of {after.stream.namespace}.{after.stream.name} became {column_type(column)}; "
                    f"the warehouse has {column_type(held)}. Load the stream again: "
                    f"dvd-rental resync {after.stream.name}."
                )

    def _create(self, table: Table) -> None:
        """Make the stream's tables where they are missing or have other columns, keeping every row of ``history``."""
        name = quoted(table.stream.name)
        source = ", ".join(f"{quoted(column.name)} {column_type(column)}" for column in table.columns)
        columns = (
            "_airbyte_raw_id varchar not null, _airbyte_extracted_at timestamptz not null, _airbyte_meta json not null,"
            f" _airbyte_generation_id bigint not null, {source}, _ab_cdc_lsn bigint,"
            " _ab_cdc_updated_at timestamptz, _ab_cdc_deleted_at timestamptz"
        )
        for schema in ("raw", "history"):
            self._connection.execute(f"create table if not exists {schema}.{name} ({columns})")

    def _row(
        self,
        table: Table,
        state: StreamState,
        values: Sequence[str],
        lsn: str,
        updated_at: str | None = None,
        deleted_at: str = "cast(null as timestamptz)",
    ) -> str:
        """The select list of one row of the contract; the arguments are SQL expressions."""
        extracted_at = f"make_timestamptz({self._stamp.extracted_at})"
        meta = json.dumps({"sync_id": self._stamp.sync_id, "changes": []})
        named = (f"{value} as {quoted(column.name)}" for value, column in zip(values, table.columns, strict=True))
        return ", ".join(
            (
                "cast(uuid() as varchar) as _airbyte_raw_id",
                f"{extracted_at} as _airbyte_extracted_at",
                f"cast('{meta}' as json) as _airbyte_meta",
                f"cast({state.generation} as bigint) as _airbyte_generation_id",
                *named,
                f"cast({lsn} as bigint) as _ab_cdc_lsn",
                f"{updated_at or extracted_at} as _ab_cdc_updated_at",
                f"{deleted_at} as _ab_cdc_deleted_at",
            )
        )

    @staticmethod
    def _name_list(table: Table) -> list[str]:
        return [
            "_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_meta", "_airbyte_generation_id",
            *(column.name for column in table.columns), "_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at",
        ]  # fmt: skip

    def _names(self, table: Table) -> str:
        return ", ".join(quoted(name) for name in self._name_list(table))

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()


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
