"""The ledger in Snowflake, who may write it, and the tables that a commit puts in the place of others.

Snowflake has no advisory lock, and a transaction that a killed client left open is ended by Snowflake only once it has
been in the way for five minutes. So nothing is locked while a sync reads: a commit first updates the one row of
``ledger.writer``, which makes every other commit wait, and then looks whether the ledger is still the one that it
continues. The look is a statement of its own, which sees what was committed before it began (Snowflake's documentation,
"Transactions", "READ COMMITTED isolation").

A table that has to change other than by new columns cannot change inside a transaction. The new table is noted in
``ledger.replacements`` by the transaction that fills it; after the commit it is cloned over the old one, atomically for
readers. Whoever syncs after a process that was killed in between does that first. A new table without a note belongs to
a process that goes on, or to one that is gone: only after a commit of one's own is it known that it can go, because
whoever made it continues the ledger from before, and can no longer commit.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

from dvd_rental_dagster.errors import SnowflakeError, WarehouseBusyError
from dvd_rental_dagster.replication.destinations.snowflake_session import Rows, SnowflakeSession
from dvd_rental_dagster.replication.destinations.snowflake_types import folded, instant, literal, quoted
from dvd_rental_dagster.replication.ledger import Ledger, ledger_of, stream_rows

_SCHEMAS = {"RAW": "transient schema", "HISTORY": "schema", "LEDGER": "transient schema"}
_TABLES = {
    "POSITION": "system_identifier varchar not null, database_oid number(38,0) not null, slot varchar not null,"
    " lsn number(38,0) not null, sync_id number(38,0) not null, extracted_at timestamp_tz not null,"
    " committed_at timestamp_tz not null",
    "STREAMS": "stream varchar not null, generation_id number(38,0) not null, mode varchar not null,"
    " snapshot_lsn number(38,0) not null, table_oid number(38,0) not null, columns varchar not null",
    "WRITER": "written number(38,0) not null",
    "REPLACEMENTS": "ordinal number(38,0) not null, schema_name varchar not null, table_name varchar not null,"
    " replacement varchar not null",
}
NEXT = "_AIRBYTE_NEXT_"
"""What the name of a table begins with that is to be put in the place of another."""

_STATEMENT_CHARACTERS = 500_000
"""How long a statement gets that notes streams, unless one stream alone is longer; Snowflake takes a megabyte."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SnowflakeLedger:
    """The schema ``ledger`` as one session reads and writes it."""

    def __init__(self, session: SnowflakeSession) -> None:
        self._session = session
        self._known: Rows = []
        self._streams: Rows = []
        self._written: tuple[Rows, Rows] = ([], [])
        self._prepared = self._swept = False
        self._tables: set[str] = set()
        self.lost: frozenset[str] = frozenset()
        """Streams that are loaded anew because a table that was to replace one of theirs is gone; names folded."""

    def open(self) -> None:
        """Look what is there."""
        found = self._session.ask("select table_name from information_schema.tables where table_schema = 'LEDGER'")
        self._tables = {name for (name,) in found}
        if self._tables:
            self._session.execute("use schema LEDGER")

    def read(self) -> Ledger | None:
        """The ledger as last committed, and from now on the one that the next commit continues."""
        self._known = self._positions()
        if not self._known:
            return None
        [(*place, extracted_at, committed_at)] = self._known
        streams = self._session.ask(
            "select stream, generation_id, mode, snapshot_lsn, table_oid, columns from LEDGER.streams order by stream"
        )
        ledger = ledger_of((*place, _microseconds(extracted_at), _microseconds(committed_at)), streams)
        self._streams = stream_rows(ledger.streams)
        return ledger

    def prepare(self) -> None:
        """Make what is missing."""
        if self._prepared:
            return
        found = self._session.ask("select schema_name from information_schema.schemata")
        for name, kind in _SCHEMAS.items():
            if (name,) not in found:
                self._session.execute(f"create {kind} if not exists {name}")
        self._session.execute("use schema LEDGER")
        for name, columns in _TABLES.items():
            if name not in self._tables:
                self._session.execute(f"create table if not exists LEDGER.{name} ({columns})")
        self._session.execute(
            "insert into LEDGER.writer select 0 from (select count(*) as there from LEDGER.writer) as counted"
            " where there = 0"
        )
        self._tables |= _TABLES.keys()
        self._prepared = True

    def claim(self) -> None:
        """Inside a transaction: wait for other commits, and make sure that none of them wrote the ledger since.

        Raises:
            WarehouseBusyError: one did.
        """
        self._session.execute("update LEDGER.writer set written = written + 1")
        if self._positions() != self._known:
            raise WarehouseBusyError(
                f"Another process wrote to the warehouse {self._session.place} since this one began. Nothing of this "
                "one is written. Run it again when the other has finished."
            )

    def write(self, ledger: Ledger) -> None:
        """Inside a transaction: the ledger in place of the one before."""
        numbers = (ledger.identity.database_oid, ledger.lsn, ledger.sync_id)
        database_oid, lsn, sync_id = map(str, numbers)
        position = (
            literal(ledger.identity.server), database_oid, literal(ledger.slot), lsn, sync_id,
            instant(ledger.extracted_at), instant(ledger.committed_at),
        )  # fmt: skip
        self._session.execute("delete from LEDGER.position")
        self._session.execute(f"insert into LEDGER.position select {', '.join(position)}")
        self._written = self._positions(), stream_rows(ledger.streams)
        if self._written[1] == self._streams:
            return
        self._session.execute("delete from LEDGER.streams")
        for values in _portions(self._written[1]):
            self._session.execute(f"insert into LEDGER.streams values {values}")

    def committed(self) -> None:
        """After a transaction: the ledger that it wrote is the one that the next continues."""
        self._known, self._streams = self._written
        self._swept = True

    def put_replacements(self, anew: Collection[str] = ()) -> None:
        """Put the tables that transactions filled for it in the place of others.

        A table that is gone does not matter to the streams in ``anew``, which are loaded again.

        Raises:
            SnowflakeError: one of another stream is gone; its note stays.
        """
        missing: set[str] = set()
        # Each is looked at just before: another process may do the same.
        while notes := [note for note in self._notes() if note[2] not in missing]:
            schema, table, replacement, is_transient = notes[0]
            if is_transient is None:
                missing.add(replacement)
                continue
            # A transient table can be cloned to a transient one only (Snowflake's documentation, CREATE TABLE … CLONE).
            kind = "transient table" if is_transient == "YES" else "table"
            self._session.execute(
                f"create or replace {kind} {schema}.{quoted(table)} clone {schema}.{quoted(replacement)}"
            )
            self._session.execute(f"delete from LEDGER.replacements where replacement = {literal(replacement)}")
            self._session.drop(schema, replacement)
        self._session.forget_columns()
        if missing:
            self._note_lost([note for note in self._notes() if note[2] in missing], set(map(folded, anew)))

    def leftovers(self) -> Rows:
        """Inside a transaction after ``claim``: schema and name of tables whose makers cannot commit after it.

        They are looked for once: whoever makes one after the first commit of this session goes on, or is this session.
        """
        if self._swept:
            return []
        return self._session.ask(
            "select table_schema, table_name from information_schema.tables where table_schema in ('RAW', 'HISTORY')"
            f" and startswith(table_name, '{NEXT}') and table_name not in (select replacement from LEDGER.replacements)"
        )

    def _note_lost(self, notes: Rows, anew: Collection[str]) -> None:
        self.lost = frozenset(table for _, table, *_ in notes)
        for schema, table, replacement, _ in notes:
            if table not in anew:
                stream = next((name for name, *_ in self._streams if folded(name) == table), table)
                raise SnowflakeError(
                    f"The table {schema}.{replacement}, which a sync filled to replace {schema}.{table}, is gone from "
                    f"the warehouse {self._session.place}. Load the stream again: dvd-rental resync {stream}."
                )

    def _notes(self) -> Rows:
        """Schema, table and replacement in their order, and whether that is transient: YES, NO, None if it is gone."""
        if "REPLACEMENTS" not in self._tables:
            return []
        return self._session.ask(
            "select schema_name, noted.table_name, replacement, is_transient from LEDGER.replacements as noted"
            " left join information_schema.tables as held"
            " on held.table_schema = schema_name and held.table_name = replacement order by ordinal"
        )

    def _positions(self) -> Rows:
        if "POSITION" not in self._tables:
            return []
        return self._session.ask(
            "select system_identifier, database_oid, slot, lsn, sync_id, extracted_at, committed_at"
            " from LEDGER.position"
        )


def note_replacement(number: int, schema: str, table: str, replacement: str) -> str:
    """The statement that has a transaction replace a table after its commit; later numbers come later."""
    names = ", ".join(map(literal, (schema, table, replacement)))
    return f"insert into LEDGER.replacements values ({number}, {names})"


def forget_replacements(table: str) -> str:
    """The statement by which a transaction that fills a table anew gives up what was to replace it."""
    return f"delete from LEDGER.replacements where table_name = {literal(table)}"


def _portions(rows: Rows) -> Iterator[str]:
    """The rows as a statement's values, as many at a time as one takes."""
    portion: list[str] = []
    for row in rows:
        values = f"({', '.join(literal(each) if isinstance(each, str) else str(each) for each in row)})"
        if portion and sum(map(len, portion)) + len(values) > _STATEMENT_CHARACTERS:
            yield ", ".join(portion)
            portion = []
        portion.append(values)
    if portion:
        yield ", ".join(portion)


def _microseconds(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND
