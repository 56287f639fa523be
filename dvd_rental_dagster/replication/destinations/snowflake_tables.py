"""The two tables of one stream in Snowflake, and how a row of theirs is written in SQL.

A table whose columns cannot become what they have to be by adding some is made anew beside it, filled in the
transaction, and put in its place after the commit; see ``snowflake_ledger.py``.
"""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping

from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.replication.destinations.snowflake_ledger import NEXT, note_replacement
from dvd_rental_dagster.replication.destinations.snowflake_session import SnowflakeSession
from dvd_rental_dagster.replication.destinations.snowflake_stage import Stage
from dvd_rental_dagster.replication.destinations.snowflake_types import (
    INSTANT,
    INTEGER,
    JSON,
    TEXT,
    column_type,
    comparable,
    converted,
    folded,
    instant,
    literal,
    quoted,
)
from dvd_rental_dagster.replication.ledger import Stamp, StreamState
from dvd_rental_dagster.replication.table import Table

NEVER = f"null::{INSTANT}"
NEW_ID = "uuid_string()"
_OWN_BEFORE = {
    "_AIRBYTE_RAW_ID": TEXT,
    "_AIRBYTE_EXTRACTED_AT": INSTANT,
    "_AIRBYTE_META": JSON,
    "_AIRBYTE_GENERATION_ID": INTEGER,
}
_OWN_AFTER = {"_AB_CDC_LSN": INTEGER, "_AB_CDC_UPDATED_AT": INSTANT, "_AB_CDC_DELETED_AT": INSTANT}
_OWN = frozenset({*_OWN_BEFORE, *_OWN_AFTER})


def listed(columns: Iterable[str], alias: str = "") -> str:
    """Columns, of a relation where it is named, separated by commas."""
    return ", ".join(f"{alias}{'.' if alias else ''}{quoted(name)}" for name in columns)


def identity(columns: Iterable[str], types: Mapping[str, str]) -> str:
    """A row as one text that no row with other values in these columns has; those without a type are null."""
    parts = (comparable(quoted(name), types[name]) if name in types else "null" for name in columns)
    return joined(parts)


def joined(texts: Iterable[str]) -> str:
    """Texts as one that no others have, and that is not null where one of them is."""
    return " || ".join(f"coalesce(length({text}) || ':' || {text}, '-')" for text in texts)


class SnowflakeTables:
    """``raw`` and ``history`` of one stream; ``stamp`` and ``state`` are what its new rows carry."""

    def __init__(
        self, session: SnowflakeSession, stage: Stage, places: dict[tuple[str, str], str], stamp: Stamp, table: Table,
        state: StreamState,
    ) -> None:  # fmt: skip
        self.session = session
        self.stage = stage
        self.table = table
        self.state = state
        self.stream = table.stream
        self.name = folded(table.stream.name)
        self.wanted = {folded(column.name): column_type(column) for column in table.columns}
        self.key = tuple(folded(part) for part in table.key)
        self._places = places
        self._stamp = stamp

    @property
    def appends(self) -> bool:
        """Whether ``raw`` holds versions, as ``history`` does."""
        return self.state.mode is SyncMode.INCREMENTAL_APPEND

    @property
    def extracted_at(self) -> str:
        """The instant that new rows carry."""
        return instant(self._stamp.extracted_at)

    def place(self, schema: str) -> str:
        """The name of the table that holds the stream's rows, or will after the commit."""
        return self._places.get((schema, self.name), self.name)

    def relation(self, schema: str) -> str:
        """That table in a statement."""
        return f"{schema}.{quoted(self.place(schema))}"

    def held(self, schema: str) -> dict[str, str]:
        """The source's columns as the warehouse has them, types by name; none where it has no such table."""
        columns = self.session.columns.get((schema, self.place(schema)), {})
        return {name: data_type for name, data_type in columns.items() if name not in _OWN}

    def create(self) -> None:
        """Make the stream's tables where they are missing."""
        for schema in ("RAW", "HISTORY"):
            if (schema, self.name) not in self.session.columns:
                self._define(schema, self.name, self.wanted)

    def replace(self, schema: str, columns: Mapping[str, str], values: Mapping[str, str] | None = None) -> None:
        """Put a table with these columns in the place of the stream's after the commit.

        It has the rows with these expressions for their values, null where there is none; without any, no row.
        """
        new = f"{NEXT}{secrets.token_hex(4).upper()}_{self.name}"
        self._define(schema, new, columns)
        if values is not None:
            own = {name: quoted(name) for name in _OWN}
            cells = ", ".join((own | dict(values)).get(name, "null") for name in self._all(columns))
            self.later(
                f"insert into {schema}.{quoted(new)} ({listed(self._all(columns))})"
                f" select {cells} from {self.relation(schema)}"
            )
        self.later(note_replacement(self.session.number(), schema, self.name, new))
        self._places[schema, self.name] = new

    def add(self, schema: str, column: str, data_type: str) -> None:
        """Add a column at once; until the commit it is null in every row."""
        self.session.execute(f"alter table {self.relation(schema)} add column {quoted(column)} {data_type}")
        self.session.columns[schema, self.place(schema)][column] = data_type

    def widen(self, schema: str, column: str, data_type: str) -> None:
        """Let a number have more digits, at once."""
        self.session.execute(
            f"alter table {self.relation(schema)} alter column {quoted(column)} set data type {data_type}"
        )
        self.session.columns[schema, self.place(schema)][column] = data_type

    def later(self, statement: str) -> None:
        """Keep a statement about the stream's rows for the commit."""
        self.session.later(self.stream, statement)

    def insert(self, schema: str, row: Mapping[str, str], source: str) -> None:
        """Insert, for every row of a relation, one with these expressions by column."""
        self.later(
            f"insert into {self.relation(schema)} ({listed(row)}) select {', '.join(row.values())} from {source}"
        )

    def row(
        self,
        schema: str,
        values: Mapping[str, str],
        types: Mapping[str, str],
        *,
        lsn: str,
        updated_at: str,
        deleted_at: str = NEVER,
        raw_id: str = NEW_ID,
    ) -> dict[str, str]:
        """The expressions of a row of the contract by column, the values in the types of the schema's table."""
        held = self.held(schema)
        meta = literal(json.dumps({"sync_id": self._stamp.sync_id, "changes": []}))
        return {
            "_AIRBYTE_RAW_ID": raw_id,
            "_AIRBYTE_EXTRACTED_AT": self.extracted_at,
            "_AIRBYTE_META": f"parse_json({meta})",
            "_AIRBYTE_GENERATION_ID": str(self.state.generation),
            **{name: converted(value, types[name], held.get(name, types[name])) for name, value in values.items()},
            "_AB_CDC_LSN": lsn,
            "_AB_CDC_UPDATED_AT": updated_at,
            "_AB_CDC_DELETED_AT": deleted_at,
        }

    def live(self) -> str:
        """The last version of every row that is there, as a relation; in append mode ``raw`` has the others too."""
        return self.live_versions("RAW") if self.appends else self.relation("RAW")

    def live_versions(self, schema: str) -> str:
        """The last version of every row that is there, of a schema that holds all versions, as a relation."""
        if self.key:
            return f"(select * from {self._last_versions(schema)} as latest where _AB_CDC_DELETED_AT is null)"
        row = identity(self.wanted, self.held(schema))
        return (
            f"(select * from {self.relation(schema)} qualify _AB_CDC_DELETED_AT is null"
            f" and row_number() over (partition by {row}, _AB_CDC_DELETED_AT is null"
            " order by _AIRBYTE_GENERATION_ID desc, _AB_CDC_LSN desc)"
            f" <= sum(iff(_AB_CDC_DELETED_AT is null, 1, -1)) over (partition by {row}))"
        )

    def latest(self) -> str:
        """The last version of every key, deletes among them where ``raw`` holds versions, as a relation."""
        return self._last_versions("RAW") if self.appends else self.relation("RAW")

    def holds_rows(self, schema: str) -> bool:
        """Whether the stream's table in the schema has any row now."""
        return bool(self.session.ask(f"select 1 from {self.relation(schema)} limit 1"))

    def _last_versions(self, schema: str) -> str:
        return (
            f"(select * from {self.relation(schema)} qualify row_number() over"
            f" (partition by {listed(self.key)} order by _AIRBYTE_GENERATION_ID desc, _AB_CDC_LSN desc) = 1)"
        )

    def _define(self, schema: str, name: str, columns: Mapping[str, str]) -> None:
        """Make an empty table with these columns of the source's."""
        typed = {**_OWN_BEFORE, **columns, **_OWN_AFTER}
        constrained = ", ".join(
            f"{quoted(column)} {data_type}{' not null' if column in _OWN_BEFORE else ''}"
            for column, data_type in typed.items()
        )
        self.session.define(schema, name, typed, constrained)

    @staticmethod
    def _all(columns: Iterable[str]) -> Iterator[str]:
        yield from (*_OWN_BEFORE, *columns, *_OWN_AFTER)
