"""The ledger in Snowflake, who may write it, and the tables that a commit puts in the place of others.

Snowflake has no advisory lock, and a transaction that a killed client left open is ended by Snowflake only once it has
been in the way for five minutes. So nothing is locked while a sync reads: a commit first updates the one row of
``ledger.writer``, which makes every other commit wait, and then looks whether the ledger is still the one that it
continues. The look is a statement of its own, which sees what was committed before it began (Snowflake's documentation,
"Transactions", "READ COMMITTED isolation").

A table that has to change other than by new columns cannot change inside a transaction. The new table is noted in
``ledger.replacements`` by the transaction that fills it; after the commit it is cloned over the old one, atomically for
readers. Whoever comes after a process that was killed in between does that first.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from dvd_rental_dagster.errors import WarehouseBusyError
from dvd_rental_dagster.replication.destinations.snowflake_session import Rows, SnowflakeSession
from dvd_rental_dagster.replication.destinations.snowflake_types import instant, literal, quoted
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
        self._prepared = False
        self._tables: set[str] = set()

    def open(self) -> None:
        """Look what is there, and put tables in their places for a process that could not."""
        found = self._session.ask("select table_name from information_schema.tables where table_schema = 'LEDGER'")
        self._tables = {name for (name,) in found}
        if self._tables:
            self._session.execute("use schema LEDGER")
        if "REPLACEMENTS" in self._tables:
            self.put_replacements()

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
        """Make what is missing, and drop tables that were to replace others in a commit that never was."""
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
        for schema, table in [place for place in self._session.columns if place[1].startswith(NEXT)]:
            self._session.drop(schema, table)
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
            literal(ledger.identity.system_identifier), database_oid, literal(ledger.slot), lsn, sync_id,
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

    def put_replacements(self) -> None:
        """Put the tables that a transaction filled for it in the place of others."""
        found = self._session.ask(
            "select schema_name, table_name, replacement from LEDGER.replacements order by ordinal"
        )
        for schema, table, replacement in found:
            columns = self._session.columns
            if (schema, replacement) in columns:
                self._session.execute(
                    f"create or replace table {schema}.{quoted(table)} clone {schema}.{quoted(replacement)}"
                )
                columns[schema, table] = columns[schema, replacement]
                self._session.drop(schema, replacement)
            self._session.execute(f"delete from LEDGER.replacements where replacement = {literal(replacement)}")

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
