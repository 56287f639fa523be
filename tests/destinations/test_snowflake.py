"""What is Snowflake's own about a warehouse in it, on the emulator."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlglot
from emulation import Emulator, connect
from hypothesis import settings as limits
from hypothesis.stateful import run_state_machine_as_test
from interruption import at
from sqlglot import exp
from stores import Carried, SnowflakeStore
from test_choice import cli
from test_random_histories import BATCH_BYTES, SETTINGS, Histories
from test_random_histories import STREAMS as HISTORIES
from test_random_histories import TABLES as HISTORY_TABLES

from dvd_rental_dagster.catalog import Stream, SyncMode
from dvd_rental_dagster.errors import SnowflakeError, StreamTableError
from dvd_rental_dagster.replication import log_reader
from dvd_rental_dagster.replication.destinations.snowflake_session import SnowflakeSession
from dvd_rental_dagster.replication.failpoint import FailPoint
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.source.cluster import OWNER
from dvd_rental_dagster.source.connection_string import database_of
from dvd_rental_dagster.source.server import EmbeddedServer

pytestmark = pytest.mark.xdist_group("snowflake")
long = pytest.mark.skipif(not os.environ.get("DVD_RENTAL_TEST_LONG"), reason="takes minutes: DVD_RENTAL_TEST_LONG=1")

LONG = "(select string_agg(md5((i * {0})::text), '') from generate_series(1, 300) as i)"
TABLES = """
    create table item (id integer primary key, name text, price numeric(8, 2), notes text);
    create table entry (id integer primary key, name text, big text, cost numeric(4, 2));
    create table bag (x integer, doc json, at timestamptz, data bytea, size double precision);
    create table fresh (id integer primary key);
    alter table bag replica identity full;
"""
STREAMS = (
    Stream("item", ("id",)), Stream("entry", ("id",), mode=SyncMode.INCREMENTAL_APPEND), Stream("bag", ()),
    Stream("fresh", ("id",), mode=SyncMode.FULL_REFRESH_OVERWRITE),
)  # fmt: skip
# Statements of a transaction; the others commit it (Snowflake's documentation, "Transactions").
IN_TRANSACTIONS = exp.Insert | exp.Update | exp.Delete | exp.Merge | exp.Select
# Functions of Snowflake's that sqlglot has no class for.
KNOWN = {"HASH"}


@pytest.fixture
def store(snowflake_store: SnowflakeStore) -> SnowflakeStore:
    return snowflake_store


def test_a_life_of_changes_arrives_by_statements_that_snowflake_has(
    carry: Callable[..., Carried], sent: list[str]
) -> None:
    carried = carry(TABLES, STREAMS)
    carried.execute(
        f"insert into item select i, 'item ' || i, i, {LONG.format(1)} from generate_series(1, 5) as i",
        f"insert into entry values (1, 'a', {LONG.format(2)})",
        "insert into bag values (1, '{\"a\": [1]}', now(), '\\x00ff', 'NaN'), (1, null, 'epoch', '', '-Infinity')",
        "insert into fresh values (1)",
    )
    carried.sync()
    carried.transaction(
        "insert into item values (6, 'it''s \\ 6', 6, null)",
        "update item set price = 9 where id = 1",
        "update item set id = 10 where id = 1",
        "update entry set name = 'b'",
        "delete from bag where size = 'NaN'",
        "insert into bag select 2, '[]', now(), null, 0.1 from generate_series(1, 2)",
    )
    carried.sync()
    carried.execute("alter table item rename name to title", "alter table item alter price type numeric")
    carried.execute(
        "alter table item add stock integer default 7, drop notes",
        "alter table entry add stock integer, alter cost type numeric(6, 2)",
    )
    carried.transaction("update item set title = 'x' where id = 2", "truncate entry, bag")
    carried.execute("alter table bag add more text default 'm'", "insert into bag values (3)")
    assert carried.sync().streams["bag"].truncated == 3
    carried.sync(resync=["item", "entry"])
    carried.assert_equal()
    assert {str(row["price"]) for row in carried.raw()} == {"2.00", "3.00", "4.00", "5.00", "6.00", "9.00"}
    assert any("set data type number(6,2)" in statement for statement in sent)
    made = [each for each in sent if each.startswith(("create temporary table", "create table if not exists RAW"))]
    assert made
    assert all(each.endswith("default_ddl_collation = ''") for each in made)
    assert_is_snowflakes(sent)
    assert_defines_nothing_in_transactions(sent)


def assert_is_snowflakes(statements: list[str]) -> None:
    for statement in statements:
        parsed = sqlglot.parse_one(statement, dialect="snowflake")
        assert not isinstance(parsed, exp.Command), statement
        assert {call.name.upper() for call in parsed.find_all(exp.Anonymous)} <= KNOWN, statement
    kinds = {type(sqlglot.parse_one(statement, dialect="snowflake")) for statement in statements}
    assert {exp.Put, exp.Copy, exp.Merge, exp.Update, exp.Delete, exp.Insert, exp.Create, exp.Alter} <= kinds


def assert_defines_nothing_in_transactions(statements: list[str]) -> None:
    is_open, inside = False, 0
    for statement in statements:
        parsed = sqlglot.parse_one(statement, dialect="snowflake")
        if isinstance(parsed, exp.Transaction | exp.Commit | exp.Rollback):
            assert is_open is not isinstance(parsed, exp.Transaction), statement
            is_open = not is_open
        elif is_open:
            assert isinstance(parsed, IN_TRANSACTIONS), statement
            inside += 1
    assert not is_open
    assert inside


@long
def test_a_transaction_that_snowflake_ended_is_an_error(carried: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    carried.execute("update item set price = 0 where id = 1")
    sessions: list[SnowflakeSession] = []
    real = SnowflakeSession.run_waiting

    def note(session: SnowflakeSession) -> None:
        sessions.append(session)
        real(session)

    monkeypatch.setattr(SnowflakeSession, "run_waiting", note)
    ended = pytest.raises(SnowflakeError, match=r"ended the transaction .* Nothing of it is written")
    with at(FailPoint.IN_APPLY, lambda: begin_again(sessions[0])), ended:
        carried.sync()
    carried.sync()
    carried.assert_equal()


def begin_again(session: SnowflakeSession) -> None:
    """As without autocommit a change does that follows the end of a transaction."""
    session.execute("rollback")
    session.execute("begin")


@long
@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("commit", r"no answer to a commit: .* Whether it is committed, the ledger tells: run it again"),
        ("update LEDGER.writer", "cannot be written: the network is gone"),
        ("drop table if exists GIVEN", "What was written is committed"),
    ],
)
def test_an_error_tells_whether_what_was_written_stays(
    carried: Carried, monkeypatch: pytest.MonkeyPatch, refused: str, said: str
) -> None:
    from snowflake.connector.errors import OperationalError  # noqa: PLC0415  # an extra

    carried.execute("update item set price = 0 where id = 1")
    real = SnowflakeSession.execute

    def refuse(session: SnowflakeSession, statement: str) -> int:
        nonlocal gone
        arrives = not gone
        gone = gone or statement.startswith(refused)
        done = real(session, statement) if not gone or (arrives and statement == "commit") else 0
        if gone:
            raise OperationalError("the network is gone")
        return done

    gone = False
    with monkeypatch.context() as patch:
        patch.setattr(SnowflakeSession, "execute", refuse)
        with pytest.raises(SnowflakeError, match=said):
            carried.sync()
    carried.sync()
    carried.assert_equal()


@long
def test_rows_on_their_way_lie_on_no_disk_of_this_machine(
    carried: Carried, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    carried.execute("update item set price = 0 where id = 1")
    from snowflake.connector.cursor import SnowflakeCursor  # noqa: PLC0415  # an extra

    seen: list[list[Path]] = []
    real = SnowflakeCursor.execute

    def look(cursor: SnowflakeCursor, statement: str, **options: Any) -> Any:
        if statement.startswith("put "):
            seen.append([path for path in tmp_path.rglob("*") if path.is_file()])
        return real(cursor, statement, **options)

    monkeypatch.setattr(SnowflakeCursor, "execute", look)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    carried.sync()
    assert seen == [[]]


@long
def test_what_snowflake_refuses_is_said_in_its_words(carried: Carried, store: SnowflakeStore) -> None:
    store.ask("drop table HISTORY.ITEM")
    store.ask("create table HISTORY.ITEM (id integer)")
    carried.execute("update item set price = 0 where id = 1")
    with pytest.raises(SnowflakeError, match=rf"The warehouse {store.database} in the emulator cannot be written: .*"):
        carried.sync()


@long
@pytest.mark.parametrize(
    ("pg_type", "value"),
    [
        ("date", "infinity"),
        ("date", "0044-03-15 BC"),
        ("timestamp", "infinity"),
        ("timestamptz", "10000-01-01 00:00:00+00"),
        ("time", "24:00:00"),
        ("numeric(8, 2)", "NaN"),
    ],
)
def test_a_value_that_snowflake_has_not_is_named_from_snapshot_and_log(
    carry: Callable[..., Carried], pg_type: str, value: str
) -> None:
    carried = carry(f"create table item (id integer primary key, odd {pg_type})", (Stream("item", ("id",)),))
    carried.execute(f"insert into item values (1, '{value}')")
    with pytest.raises(StreamTableError, match=r"In public\.item, odd holds .*, which the warehouse's type"):
        carried.sync()
    carried.execute("delete from item")
    carried.sync()
    carried.execute(f"insert into item values (1, '{value}')")
    with pytest.raises(StreamTableError, match=rf"In public\.item, odd holds {value[:8]}"):
        carried.sync()


class OnSnowflake(Carried):
    """What the random histories ask of a replica."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        assert isinstance(self.store, SnowflakeStore)
        return self.store.ask(query)


@long
def test_random_histories_are_followed(database: str, store: SnowflakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "BATCH_BYTES", BATCH_BYTES)
    carried = OnSnowflake(database, Path(), HISTORIES, store=store)
    carried.execute(*filter(str.strip, HISTORY_TABLES.split(";")))
    carried.prepare()
    carried.sync()
    few = limits(SETTINGS, max_examples=3, stateful_step_count=20)
    run_state_machine_as_test(lambda: Histories(carried), settings=few)


def test_the_command_line_carries_a_source_into_snowflake(
    emulator: Emulator, server: EmbeddedServer, tables: str, settings: Settings, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    given: list[dict[str, Any]] = []

    def at_emulator(**options: Any) -> Any:
        given.append(options)
        kept = ("database", "session_parameters")
        return connect(emulator.port, **{name: options[name] for name in kept})

    monkeypatch.setattr("snowflake.connector.connect", at_emulator)
    name, catalog = database_of(tables), tmp_path / "catalog.toml"
    catalog.write_text(
        '[[stream]]\nname = "language"\nschema = "public"\ntable = "language"\nprimary_key = ["language_id"]\n'
    )
    for setting, value in {
        "home": str(settings.home), "warehouse": "snowflake", "source_url": server.url(name, OWNER),
        "role": f"role_{name}", "role_password": name, "slot": name, "catalog": str(catalog),
        "snowflake_account": "fakesnow", "snowflake_user": "me", "snowflake_password": "hidden",
        "snowflake_database": f"CARRIED_{name}",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"DVD_RENTAL_{setting.upper()}", value)
    cli("source", "prepare")
    assert "nothing yet; dvd-rental sync loads" in cli("status", "--format", "json")
    with psycopg.connect(tables) as source:
        source.execute("insert into language values (1, 'English', now())")
    assert json.loads(cli("sync", "--format", "json"))["streams"]["language"]["snapshot"] == 1
    assert json.loads(cli("resync", "language", "--format", "json"))["streams"]["language"]["snapshot"] == 1
    assert {row["result"] for row in json.loads(cli("verify", "--format", "json"))} == {"equal"}
    assert (
        "by sync 3 at" in {row["part"]: row["state"] for row in json.loads(cli("status", "--format", "json"))}["loaded"]
    )
    assert {(each["role"], each["warehouse"]) for each in given} == {(f"CARRIED_{name}_LOADER".upper(), "DVD_RENTALS")}
    assert not settings.duckdb_path.exists()
