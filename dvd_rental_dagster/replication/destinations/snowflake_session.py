"""A session in Snowflake, in which what defines tables runs at once and what changes rows waits for the commit.

DDL commits an open transaction (Snowflake's documentation, "Transactions", "DDL"). So no transaction is open while the
log is read: tables are made, columns added and rows staged as they come, and the statements that change ``raw`` and
``history`` are kept until they run, in their order, between one ``begin`` and one ``commit``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import SnowflakeError, WarehouseBusyError, one_line
from dvd_rental_dagster.replication.destinations.snowflake_types import quoted
from dvd_rental_dagster.replication.failpoint import FailPoint, reach
from dvd_rental_dagster.replication.table import unfit_value

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

Connect = Callable[[], "SnowflakeConnection"]
Rows = list[tuple[Any, ...]]

PARAMETERS: dict[str, Any] = {
    "QUERY_TAG": "dvd_rental",
    "AUTOCOMMIT": True,
    "TIMEZONE": "UTC",
    "DATE_INPUT_FORMAT": "AUTO",
    "TIME_INPUT_FORMAT": "AUTO",
    "TIMESTAMP_INPUT_FORMAT": "AUTO",
    "DATE_OUTPUT_FORMAT": "YYYY-MM-DD",
    "TIME_OUTPUT_FORMAT": "HH24:MI:SS.FF6",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF6",
    "TIMESTAMP_TZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF6 TZH:TZM",
    "BINARY_OUTPUT_FORMAT": "HEX",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "ABORT_DETACHED_QUERY": True,
}
"""What a value's text and a name's meaning depend on, whatever account and user say, and what a killed sync leaves."""

_UNFIT_VALUES = range(100_000, 101_000)
"""Numbers of the errors about a value, such as 100038, "Numeric value is not recognized"."""

_LOCKED = 625
"""Number of the error of a statement that waited for a lock for too long; one cancelled has its SQLSTATE, too."""

REFUSED = (
    "cannot be written: {said}. What was there before stays. Mend that, or correct the DVD_RENTAL_SNOWFLAKE_* "
    "settings; then run it again"
)
UNANSWERED = "gave no answer to a commit: {said}. Whether it is committed, the ledger tells: run it again"
COMMITTED = "is written, and what was to follow is not: {said}. What was written is committed. Run it again"
"""What an error says of the warehouse, by when it comes."""


_EXACT = "default_ddl_collation = ''"
"""With a collation of the account's or the database's, keys that are not the same would be equal."""


@dataclass(frozen=True)
class Waiting:
    """A statement about a stream's rows that waits for the commit, or a failpoint between two."""

    stream: Stream
    action: str | FailPoint


@dataclass
class SnowflakeSession:
    """One connection. ``place`` is the warehouse as an error names it."""

    connection: "SnowflakeConnection"
    place: str
    waiting: list[Waiting] = field(default_factory=list)
    temporary: list[str] = field(default_factory=list)
    _columns: dict[tuple[str, str], dict[str, str]] | None = None
    _numbers: int = 0

    def execute(self, statement: str) -> int:
        """Run one statement now, and return the number of rows that it changed or found."""
        with self.connection.cursor() as cursor:
            return int(cursor.execute(statement).rowcount or 0)  # type: ignore[union-attr]

    def ask(self, query: str) -> Rows:
        """Run a query, or a command that answers, now."""
        with self.connection.cursor() as cursor:
            return list(cursor.execute(query).fetchall())  # type: ignore[union-attr]

    def put(self, statement: str, content: BytesIO) -> None:
        """Upload a file with this content, which the statement names."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, file_stream=content)

    def later(self, stream: Stream, action: str | FailPoint) -> None:
        """Keep a statement for the commit."""
        self.waiting.append(Waiting(stream, action))

    def run_waiting(self) -> None:
        """Run what waits, inside the transaction that is open."""
        for each in self.waiting:
            if isinstance(each.action, FailPoint):
                reach(each.action)
            else:
                with naming(self.place, each.stream):
                    self.execute(each.action)

    def ask_ahead(self, stream: Stream, query: str) -> Rows:
        """What a query about the stream's rows will answer once everything that waits has run."""
        ahead = [each.action for each in self.waiting if each.stream == stream and isinstance(each.action, str)]
        if not ahead:
            return self.ask(query)
        with self.rolled_back():
            for statement in ahead:
                self.execute(statement)
            return self.ask(query)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction that is committed at the end, or of which nothing stays.

        Raises:
            SnowflakeError: Snowflake ended it before, or whether it is committed is not known.
        """
        with self._begun():
            yield
        with naming(self.place, outcome=UNANSWERED):
            self.execute("commit")
        with naming(self.place, outcome=COMMITTED):
            self.execute("alter session set autocommit = true")

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """A transaction of which nothing stays."""
        with self._begun():
            yield
        self.execute("rollback")
        self.execute("alter session set autocommit = true")

    @contextmanager
    def _begun(self) -> Iterator[None]:
        """A transaction that is open at the end, unless an error ends it, and then the session has nothing more to do.

        Snowflake ends one that is idle and in another's way. Without autocommit, what follows is then part of one that
        is never committed (Snowflake's documentation, "Transactions", "Autocommit").
        """
        from snowflake.connector import Error  # noqa: PLC0415  # who has a connection has paid for it

        self.execute("alter session set autocommit = false")
        self.execute("begin")
        try:
            begun = self._transaction()
            yield
            self._check_same(begun)
        except BaseException:
            with suppress(Error):  # it says no more than the error under way
                self.execute("rollback")
            raise

    def _transaction(self) -> Rows:
        return self.ask("select current_transaction()")

    def _check_same(self, begun: Rows) -> None:
        if self._transaction() != begun:
            raise SnowflakeError(
                f"Snowflake ended the transaction that wrote to {self.place}, as it does to one that is idle and in "
                "another's way. Nothing of it is written. Run it again."
            )

    def forget(self) -> None:
        """Drop what waits and the tables that it read from."""
        self.waiting.clear()
        for table in self.temporary:
            self.execute(f"drop table if exists {table}")
        self.temporary.clear()

    def number(self) -> int:
        """A number that nothing in this session has yet."""
        self._numbers += 1
        return self._numbers

    def make_temporary(self, columns: str) -> str:
        """Make a temporary table with these columns, which is there until ``forget``, and return its name."""
        name = f"GIVEN_{self.number()}"
        self.execute(f"create temporary table {name} ({columns}) {_EXACT}")
        self.temporary.append(name)
        return name

    @property
    def columns(self) -> dict[tuple[str, str], dict[str, str]]:
        """Types by column, in order, of every table in ``raw`` and ``history`` by schema and name, all in upper case.

        They are asked for once: nobody else changes them while a sync goes on.
        """
        if self._columns is None:
            self._columns = defaultdict(dict)
            for schema, table, column, data_type, precision, scale in self.ask(
                "select table_schema, table_name, column_name, data_type, numeric_precision, numeric_scale"
                " from information_schema.columns where table_schema in ('RAW', 'HISTORY') order by ordinal_position"
            ):
                named = {"TEXT": "varchar", "NUMBER": f"number({precision},{scale})"}
                self._columns[schema, table][column] = named.get(data_type, data_type.lower())
        return self._columns

    def forget_columns(self) -> None:
        """Ask for the columns again when they are needed next."""
        self._columns = None

    def define(self, schema: str, table: str, columns: dict[str, str], constrained: str) -> None:
        """Make a table; ``constrained`` is its columns as DDL has them, ``columns`` their types."""
        self.execute(f"create table if not exists {schema}.{quoted(table)} ({constrained}) {_EXACT}")
        self.columns[schema, table] = columns

    def drop(self, schema: str, table: str) -> None:
        """Drop a table if it is there."""
        self.execute(f"drop table if exists {schema}.{quoted(table)}")


@contextmanager
def naming(place: str, stream: Stream | None = None, outcome: str = REFUSED) -> Iterator[None]:
    """Name the warehouse, and the stream whose value it cannot hold, when Snowflake refuses.

    Raises:
        SnowflakeError: so it is; the message has Snowflake's words in ``outcome``.
        StreamTableError: a value has no place in its type.
        WarehouseBusyError: another transaction holds what is to be written.
    """
    from snowflake.connector import Error  # noqa: PLC0415  # an extra, and it takes a second

    try:
        yield
    except Error as error:
        said = one_line(error.raw_msg or error.msg)
        if stream is not None and error.errno in _UNFIT_VALUES:
            raise unfit_value(stream, f"Snowflake found a value: {said}") from error
        if error.errno == _LOCKED and outcome == REFUSED:
            raise WarehouseBusyError(
                f"Another transaction holds the warehouse {place}. Wait for it to finish; Snowflake itself ends one "
                "whose client is gone, after five minutes."
            ) from error
        raise SnowflakeError(f"The warehouse {place} {outcome.format(said=said)}.") from error
