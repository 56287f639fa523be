"""The warehouses under test, each read by means of its own, and a replica that goes into any of them."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg
import pytest
from emulation import connect
from psycopg import sql
from psycopg.rows import dict_row
from replica import PUBLICATION, Replica

from dvd_rental_dagster.catalog import Stream, SyncMode
from dvd_rental_dagster.replication import SyncReport
from dvd_rental_dagster.replication.destinations import Destination
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination
from dvd_rental_dagster.replication.destinations.duckdb_types import quoted
from dvd_rental_dagster.replication.destinations.json_folder import JsonDestination
from dvd_rental_dagster.replication.destinations.json_lines import file_name
from dvd_rental_dagster.replication.destinations.postgres_database import PostgresDestination
from dvd_rental_dagster.replication.destinations.snowflake_database import SnowflakeDestination
from dvd_rental_dagster.replication.destinations.snowflake_session import PARAMETERS
from dvd_rental_dagster.replication.destinations.snowflake_types import quoted as upper_quoted
from dvd_rental_dagster.replication.verification import Verification, verify

Row = dict[str, Any]
_OWN = ("_airbyte_", "_ab_cdc_")

LONG = bool(os.environ.get("DVD_RENTAL_TEST_LONG"))
ON_SNOWFLAKE = (
    pytest.mark.skipif(not LONG, reason="takes minutes: DVD_RENTAL_TEST_LONG=1"),
    pytest.mark.xdist_group("snowflake"),
)
FURTHER = ("postgres", "json", pytest.param("snowflake", marks=ON_SNOWFLAKE))
"""The destinations beside DuckDB, by the names of their stores."""


class Store(Protocol):
    """A warehouse and how a test looks into it; it goes into other processes by pickle."""

    def destination(self, wait_seconds: float = 30) -> Destination: ...

    def rows(self, schema: str, stream: str) -> list[Row]:
        """The stream's rows as Python's values, JSON parsed."""

    def texts(self, schema: str, stream: str) -> list[Row]:
        """The stream's rows, each value as the warehouse writes it, the key ``id`` as a number."""

    def held(self) -> AbstractContextManager[Any]:
        """While it lasts, others in this process open the warehouse and look into it in no time."""
        return nullcontext()

    def unfit(self, pg_type: str) -> str | None:
        """The condition under which the warehouse has no place for the value ``{0}`` of the type."""


@dataclass(frozen=True)
class DuckDBStore(Store):
    path: Path

    def held(self) -> AbstractContextManager[Any]:
        return duckdb.connect(self.path)

    def destination(self, wait_seconds: float = 30) -> Destination:
        return DuckDBDestination(self.path, wait_seconds=wait_seconds)

    def rows(self, schema: str, stream: str) -> list[Row]:
        return self._read(f"select * from {schema}.{quoted(stream)}")

    def texts(self, schema: str, stream: str) -> list[Row]:
        return self._read(
            f"select columns(* exclude (id))::varchar, id from {schema}.{quoted(stream)} order by _ab_cdc_lsn, id"
        )

    def unfit(self, pg_type: str) -> str | None:  # noqa: ARG002  # there is a place for every value of the matrix
        return None

    def _read(self, query: str) -> list[Row]:
        with duckdb.connect(self.path) as connection:
            connection.execute("set timezone = 'UTC'")
            result = connection.execute(query)
            columns = [(name, str(data_type)) for name, data_type, *_ in result.description or ()]
            return [
                {
                    name: json.loads(value) if data_type == "JSON" and value is not None else value
                    for (name, data_type), value in zip(columns, values, strict=True)
                }
                for values in result.fetchall()
            ]


@dataclass(frozen=True)
class PostgresStore(Store):
    url: str

    def destination(self, wait_seconds: float = 30) -> Destination:
        return PostgresDestination(self.url, wait_seconds=wait_seconds)

    def rows(self, schema: str, stream: str) -> list[Row]:
        return self._read(sql.SQL("select * from {}").format(sql.Identifier(schema, stream)))

    def texts(self, schema: str, stream: str) -> list[Row]:
        table = sql.Identifier(schema, stream)
        with psycopg.connect(self.url) as connection:
            empty = connection.execute(sql.SQL("select * from {} limit 0").format(table))
            columns = [column.name for column in empty.description or () if column.name != "id"]
        texts = sql.SQL(", ").join(sql.SQL("{0}::text as {0}").format(sql.Identifier(column)) for column in columns)
        return self._read(sql.SQL("select {}, id from {}").format(texts, table))

    def unfit(self, pg_type: str) -> str | None:  # noqa: ARG002  # there is a place for every value of the matrix
        return None

    def _read(self, query: sql.Composed) -> list[Row]:
        with psycopg.connect(self.url, options="-c timezone=UTC") as connection:
            return connection.cursor(row_factory=dict_row).execute(query).fetchall()


@dataclass(frozen=True)
class JsonStore(Store):
    """A folder of JSON lines, of which a test sees what every reader does."""

    folder: Path

    def destination(self, wait_seconds: float = 30) -> Destination:
        return JsonDestination(self.folder, wait_seconds=wait_seconds)

    def rows(self, schema: str, stream: str) -> list[Row]:
        """Values are read back into Python's types by how they look, but for the texts and times of ``TEXTS``."""
        return [
            {name: _read_back(name, value) for name, value in _flat(each).items()}
            for each in self.lines(schema, stream)
        ]

    def texts(self, schema: str, stream: str) -> list[Row]:
        rows = [_flat(each) for each in self.lines(schema, stream)]
        return [{name: value if name == "id" else value and str(value) for name, value in row.items()} for row in rows]

    def unfit(self, pg_type: str) -> str | None:  # noqa: ARG002  # there is a place for every value of the matrix
        return None

    def lines(self, schema: str, stream: str) -> list[Row]:
        """The file's lines, parsed; a number that has a point keeps its digits."""
        path = self.folder / "current" / schema / file_name(stream)
        return [json.loads(each, parse_float=Decimal) for each in path.read_text().split("\n")[:-1]]


def _flat(line: Row) -> Row:
    """The columns of the contract in its order."""
    row = {"_airbyte_raw_id": line["_airbyte_ab_id"], **line, **line["_airbyte_data"]}
    return {name: value for name, value in row.items() if name not in _ONLY_IN_LINES}


_ONLY_IN_LINES = {"_airbyte_ab_id", "_airbyte_emitted_at", "_airbyte_data"}
_LOOKS: dict[str, Callable[[str], Any]] = {
    r"\d{4}-\d\d-\d\dT.*": datetime.fromisoformat,
    r"\d{4}-\d\d-\d\d": date.fromisoformat,
    r"\\x[0-9a-f]*": lambda value: bytes.fromhex(value[2:]),
}


def _read_back(name: str, value: Any) -> Any:
    if not isinstance(value, str) or name == "_airbyte_raw_id":
        return value
    return next((read(value) for look, read in _LOOKS.items() if re.fullmatch(look, value)), value)


@dataclass(frozen=True)
class SnowflakeStore(Store):
    """A database of the emulator's; a missing timestamp is read as text, for the emulator's own answer is 1970."""

    port: int
    database: str

    def destination(self, wait_seconds: float = 30) -> Destination:
        def open_session() -> Any:
            parameters = PARAMETERS | {"LOCK_TIMEOUT": int(wait_seconds)}
            return connect(self.port, database=self.database, session_parameters=parameters)

        return SnowflakeDestination(open_session, f"{self.database} in the emulator")

    def rows(self, schema: str, stream: str) -> list[Row]:
        read = {"TIMESTAMP_NTZ": datetime.fromisoformat, "TIMESTAMP_TZ": datetime.fromisoformat, "VARIANT": json.loads}
        types, rows = self._read(schema, stream, "TIMESTAMP_NTZ", "TIMESTAMP_TZ")
        return [
            {
                name: value if value is None else read.get(types[name], lambda value: value)(value)
                for name, value in row.items()
            }
            for row in rows
        ]

    def texts(self, schema: str, stream: str) -> list[Row]:
        _, rows = self._read(schema, stream, "TIMESTAMP_NTZ", "TIMESTAMP_TZ", "FLOAT", "BINARY", "TIME", "DATE")
        return rows

    def unfit(self, pg_type: str) -> str | None:
        if pg_type == "date" or (pg_type.startswith("timestamp") and not pg_type.endswith("]")):
            return "{0} not between '0001-01-01' and '9999-12-31'"
        return "{0} = '24:00:00'" if re.fullmatch(r"time(\(\d\))?", pg_type) else None

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with connect(self.port, database=self.database) as connection:
            answer: list[tuple[Any, ...]] = connection.cursor().execute(query).fetchall()
            return answer

    def _read(self, schema: str, stream: str, *as_texts: str) -> tuple[dict[str, str], list[Row]]:
        """The types by column, and the rows, of some types as texts; names in lower case, as the source has them."""
        name = stream.upper().replace("'", "''")
        types = {
            column.lower(): data_type
            for column, data_type in self.ask(
                "select column_name, data_type from information_schema.columns where"
                f" table_schema = '{schema.upper()}' and table_name = '{name}' order by ordinal_position"
            )
        }
        columns = (
            f"to_varchar({upper_quoted(column)})" if data_type in as_texts else upper_quoted(column)
            for column, data_type in types.items()
        )
        rows = self.ask(f"select {', '.join(columns)} from {schema}.{upper_quoted(stream)}")
        return types, [
            {name: bytes(value) if isinstance(value, bytearray) else value
             for name, value in zip(types, row, strict=True)}
            for row in rows
        ]  # fmt: skip


@dataclass
class Carried(Replica):
    """A source and the warehouse that follows it."""

    store: Store = None  # type: ignore[assignment]  # the base class has defaults before it

    def sync(self, destination: Destination | None = None, **options: Any) -> SyncReport:
        return super().sync(destination or self.store.destination(), **options)

    def verify(self) -> Verification:
        return verify(self.url, self.store.destination(), self.streams, publication=PUBLICATION, slot=self.slot)

    def raw(self, stream: str = "item") -> list[Row]:
        return self.store.rows("raw", stream)

    def history(self, stream: str = "item") -> list[Row]:
        """The versions in the log's order, of two at one place the delete first."""
        return sorted(
            self.store.rows("history", stream), key=lambda row: (row["_ab_cdc_lsn"], row["_ab_cdc_deleted_at"] is None)
        )

    def assert_equal(self) -> None:
        """``raw`` is the source row for row, and ``history`` replays to ``raw``."""
        with self.store.held():
            verification = self.verify()
            assert verification.equal, verification
            self.assert_follows(up_to_now=False)

    def assert_is_the_source(self, stream: str) -> None:
        """Row for row, value for value, as Python sees them on both sides."""
        rows = self.committed(stream)
        columns = list(rows[0]) if rows else []
        assert sorted(values(row, columns) for row in self.raw(stream)) == sorted(values(row, columns) for row in rows)

    def assert_follows(self, *, up_to_now: bool = True) -> None:
        """``history`` replays to ``raw``, and ``raw`` is what has been committed, or was at some moment before."""
        for stream in self.streams:
            if stream.mode is not SyncMode.INCREMENTAL_DEDUPED_HISTORY:
                continue
            rows = self.raw(stream.name)
            columns = sorted(name for name in (rows[0] if rows else {}) if not name.startswith(_OWN))
            current = Counter(values(row, columns) for row in rows)
            assert replayed(self.history(stream.name), stream, columns) == current, stream.name
            if up_to_now:
                assert Counter(values(row, columns) for row in self.committed(stream.name)) == current, stream.name

    def committed(self, table: str) -> list[Row]:
        with psycopg.connect(self.url) as source:
            query = sql.SQL("select * from {}").format(sql.Identifier(table))
            return source.cursor(row_factory=dict_row).execute(query).fetchall()


def values(row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    """Values of a row in a form that can be counted; a decimal is the same as its text."""
    return tuple(repr(str(row[column]) if isinstance(row[column], Decimal) else row[column]) for column in columns)


def replayed(history: list[Row], stream: Stream, columns: Sequence[str]) -> Counter[tuple[str, ...]]:
    """What is there after every version, in the log's order, came and went."""
    if stream.primary_key:
        last = {values(row, stream.primary_key): row for row in history}
        return Counter(values(row, columns) for row in last.values() if row["_ab_cdc_deleted_at"] is None)
    rows: Counter[tuple[str, ...]] = Counter()
    for row in history:
        rows[values(row, columns)] += 1 if row["_ab_cdc_deleted_at"] is None else -1
    return +rows
