"""Two writers in Snowflake, and tables that are put in their places after the commit, on the emulator."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from interruption import InterruptedSync, at
from stores import Carried, SnowflakeStore

from dvd_rental_dagster.errors import SnowflakeError, WarehouseBusyError
from dvd_rental_dagster.replication.destinations.snowflake_session import SnowflakeSession
from dvd_rental_dagster.replication.failpoint import FailPoint
from dvd_rental_dagster.replication.ledger import Stamp

pytestmark = [
    pytest.mark.xdist_group("snowflake"),
    pytest.mark.skipif(not os.environ.get("DVD_RENTAL_TEST_LONG"), reason="takes minutes: DVD_RENTAL_TEST_LONG=1"),
]


@pytest.fixture
def store(snowflake_store: SnowflakeStore) -> SnowflakeStore:
    return snowflake_store


def test_who_commits_last_of_two_writes_nothing(carried: Carried, store: SnowflakeStore) -> None:
    carried.execute("update item set name = 'x' where id = 1")
    seen: list[str] = []

    def overtake() -> None:
        store.ask("update LEDGER.position set sync_id = 77")
        seen.append("overtaken")

    with at(FailPoint.BEFORE_COMMIT, overtake), pytest.raises(WarehouseBusyError, match="Another process wrote"):
        carried.sync()
    assert seen
    assert len(carried.history()) == 20
    assert carried.sync().sync_id == 78
    carried.assert_equal()


def test_readers_see_old_columns_and_rows_until_the_commit(carried: Carried) -> None:
    before = carried.raw()
    carried.execute("alter table item drop notes", "alter table item rename name to title", "delete from item")
    seen: list[Any] = []
    with at(FailPoint.BEFORE_COMMIT, lambda: seen.append(carried.raw())):
        carried.sync()
    assert seen == [before]
    assert carried.raw() == []
    assert "title" in carried.history()[0]


def test_a_second_writer_takes_nothing_from_a_first_that_has_not_committed(
    carried: Carried, store: SnowflakeStore
) -> None:
    carried.execute("alter table item rename name to title", "update item set price = 0 where id = 1")
    with at(FailPoint.BEFORE_COMMIT, lambda: begin_another(store)):
        carried.sync()
    carried.assert_equal()
    assert "title" in carried.raw()[0]
    assert next_tables(store) == []


def test_a_second_writer_finishes_what_a_first_has_committed(
    carried: Carried, store: SnowflakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried.execute("alter table item rename name to title", "update item set price = 0 where id = 1")
    with monkeypatch.context() as patch:
        interrupt(patch, "create or replace", lambda: begin_another(store))
        with pytest.raises(SnowflakeError, match="What was written is committed"):
            carried.sync()
    assert {row["title"] for row in carried.raw()} == {f"item {number}" for number in range(1, 21)}
    carried.assert_equal()
    assert next_tables(store) == []


def test_of_two_writers_the_last_to_commit_leaves_no_table(carried: Carried, store: SnowflakeStore) -> None:
    carried.execute("alter table item rename name to title", "update item set price = 0 where id = 1")
    seen: list[int] = []

    def overtake() -> None:
        seen.append(len(next_tables(store)))
        begin_another(store, commits=True)
        seen.append(len(next_tables(store)))

    with at(FailPoint.BEFORE_COMMIT, overtake), pytest.raises(WarehouseBusyError, match="Another process wrote"):
        carried.sync()
    assert seen == [2, 0]
    carried.sync()
    carried.assert_equal()
    assert next_tables(store) == []


def test_looking_at_the_ledger_changes_nothing(
    carried: Carried, store: SnowflakeStore, monkeypatch: pytest.MonkeyPatch, sent: list[str]
) -> None:
    carried.execute("alter table item rename name to title", "update item set price = 0 where id = 1")
    sync_until(carried, monkeypatch, "create or replace")
    sent.clear()
    with store.destination() as destination:
        assert destination.read_ledger()
    assert all(statement.startswith(("select ", "use schema ")) for statement in sent)
    assert len(next_tables(store)) == 2
    carried.sync()
    assert "title" in carried.raw()[0]
    assert next_tables(store) == []


@pytest.mark.parametrize("schema", ["RAW", "HISTORY"])
def test_a_table_that_is_gone_before_it_is_put_in_its_place_asks_for_a_resync(
    carried: Carried, store: SnowflakeStore, monkeypatch: pytest.MonkeyPatch, schema: str
) -> None:
    carried.execute("alter table item rename name to title", "update item set price = 0 where id = 1")
    sync_until(carried, monkeypatch, "create or replace")
    store.ask(f'drop table {schema}."{dict(next_tables(store))[schema]}"')
    carried.execute("update item set price = 1 where id = 2")
    for _ in range(2):
        with pytest.raises(SnowflakeError, match=rf"replace {schema}.ITEM, is gone .*: dvd-rental resync item\."):
            carried.sync()
    carried.sync(resync=["item"])
    carried.assert_equal()
    assert {row["title"] for row in carried.raw()} == {f"item {number}" for number in range(1, 21)}


def begin_another(store: SnowflakeStore, *, commits: bool = False) -> None:
    """What a sync does before it reads the source, and no more but a commit of nothing."""
    with store.destination() as destination:
        ledger = destination.read_ledger()
        assert ledger
        destination.recover()
        destination.begin(Stamp(99, 99))
        if commits:
            destination.commit(replace(ledger, sync_id=99))


def next_tables(store: SnowflakeStore) -> list[tuple[Any, ...]]:
    return store.ask(
        "select table_schema, table_name from information_schema.tables where startswith(table_name, '_AIRBYTE_NEXT_')"
    )


def interrupt(patch: pytest.MonkeyPatch, start: str, act: Callable[[], object]) -> None:
    """Act once, before the first statement that puts a table in its place and begins so."""
    real = SnowflakeSession.execute

    def execute(session: SnowflakeSession, statement: str) -> int:
        nonlocal acted
        if not acted and statement.startswith(start) and "_AIRBYTE_NEXT_" in statement and "(" not in statement:
            acted = True
            act()
        return real(session, statement)

    acted = False
    patch.setattr(SnowflakeSession, "execute", execute)


def sync_until(carried: Carried, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    """A sync that ends before the first statement that puts a table in its place and begins so."""
    with monkeypatch.context() as patch:
        interrupt(patch, start, stop)
        with pytest.raises(InterruptedSync):
            carried.sync()


def stop() -> None:
    raise InterruptedSync


@pytest.mark.parametrize("lost", ["create or replace table RAW", "drop table if exists RAW", "delete from LEDGER.repl"])
def test_a_table_that_was_not_put_in_its_place_is_put_there_by_the_next(
    carried: Carried, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    carried.execute("alter table item rename name to title", "update item set price = 0 where id = 1")
    sync_until(carried, monkeypatch, lost)
    carried.assert_equal()
    assert {row["title"] for row in carried.raw()} == {f"item {number}" for number in range(1, 21)}


def test_nothing_of_a_commit_that_fails_is_left(carried: Carried, store: SnowflakeStore) -> None:
    def tables() -> list[Any]:
        return store.ask(
            "select table_schema, table_name, column_name from information_schema.columns order by 1, 2, 3"
        )

    before = tables(), carried.raw(), carried.history()
    carried.execute("alter table item rename name to title", "update item set price = 0 where id = 1")
    with at(FailPoint.IN_APPLY, stop), pytest.raises(InterruptedSync):
        carried.sync()
    assert (carried.raw(), carried.history()) == before[1:]
    carried.execute("alter table item rename title to name")
    carried.sync(resync=["item"])
    carried.assert_equal()
    assert tables() == before[0]
