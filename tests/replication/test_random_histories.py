"""Random histories against a real server: whatever happens at the source, raw equals it and history replays to raw."""

import os
from collections.abc import Callable

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from replica import Replica

from dvd_rental_dagster.catalog import Stream

EXAMPLES = 300 if os.environ.get("DVD_RENTAL_TEST_LONG") else 12
TABLES = """
    create table simple (id integer primary key, name text, big text);
    create table pair (x integer, y integer, name text, primary key (x, y));
    alter table pair replica identity full;
"""
STREAMS = (Stream("simple", ("id",)), Stream("pair", ("x", "y")))

keys = st.integers(1, 6)
words = st.one_of(st.none(), st.text(alphabet="aé'\"\\{} ", max_size=6))
big = st.one_of(st.none(), st.integers(1, 3))
changes = st.one_of(
    st.tuples(st.just("upsert"), keys, words, big),
    st.tuples(st.just("rename"), keys, words),
    st.tuples(st.just("delete"), keys),
    st.tuples(st.just("move"), keys, st.integers(1, 6)),
    st.tuples(st.just("truncate")),
    st.tuples(st.just("savepoint"), keys, words),
    st.tuples(st.just("pair"), keys, keys, words),
    st.tuples(st.just("move pair"), keys, keys),
    st.tuples(st.just("delete pairs"), keys),
)
transactions = st.lists(st.tuples(st.lists(changes, min_size=1, max_size=8), st.booleans(), st.booleans()), max_size=8)

_LARGE = "(select string_agg(md5((i * %s)::text), '') from generate_series(1, 300) as i)"


def apply(connection: psycopg.Connection[tuple[object, ...]], change: tuple[object, ...]) -> None:
    match change:
        case ("upsert", key, name, size):
            connection.execute(
                f"insert into simple values (%s, %s, {_LARGE if size else '%s'})"
                " on conflict (id) do update set name = excluded.name, big = excluded.big",
                (key, name, size),
            )
        case ("rename", key, name):
            connection.execute("update simple set name = %s where id = %s", (name, key))
        case ("delete", key):
            connection.execute("delete from simple where id = %s", (key,))
        case ("move", old, new):
            connection.execute("delete from simple where id = %s and %s <> %s", (new, new, old))
            connection.execute("update simple set id = %s where id = %s", (new, old))
        case ("truncate",):
            connection.execute("truncate simple")
        case ("savepoint", key, name):
            with connection.transaction(force_rollback=True):
                connection.execute("update simple set name = %s where id <> %s", (name, key))
        case ("pair", x, y, name):
            connection.execute(
                "insert into pair values (%s, %s, %s) on conflict (x, y) do update set name = excluded.name",
                (x, y, name),
            )
        case ("move pair", x, y):
            connection.execute("delete from pair where x = %s and y = %s + 10", (x, y))
            connection.execute("update pair set y = y + 10 where x = %s and y = %s", (x, y))
        case ("delete pairs", x):
            connection.execute("delete from pair where x = %s", (x,))


@pytest.fixture
def histories(make_replica: Callable[..., Replica]) -> Replica:
    replica = make_replica(TABLES, STREAMS)
    replica.sync()
    return replica


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=transactions)
def test_after_every_sync_raw_is_the_source_and_history_replays_to_it(
    histories: Replica, history: list[tuple[list[tuple[object, ...]], bool, bool]]
) -> None:
    with psycopg.connect(histories.url, autocommit=True) as connection:
        for changed, committed, synced in history:
            with connection.transaction(force_rollback=not committed):
                for change in changed:
                    apply(connection, change)
            if synced:
                histories.sync()
    histories.sync()
    histories.assert_equal()
