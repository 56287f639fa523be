"""Random histories against a real server: whatever happens at the source, raw equals it and history replays to raw."""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from interruption import sync_interrupted, sync_killed
from replica import Replica

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication import log_reader
from dvd_rental_dagster.replication.failpoint import FailPoint

LONG = bool(os.environ.get("DVD_RENTAL_TEST_LONG"))
SETTINGS = settings(
    max_examples=200 if LONG else 3,
    stateful_step_count=60 if LONG else 20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
BATCH_BYTES = 4096
"""So small that most transactions are larger than half a batch, and some than a whole one."""

SESSIONS = 2
TABLES = """
    create table simple (id integer primary key, name text, big text);
    create table pair (x integer, y integer, name text, big text, primary key (x, y));
    create table coded (id integer, code text not null unique, name text, big text);
    create table bag (x integer, name text);
    create table credit (id bigint generated always as identity primary key, amount integer not null);
    create table debit (id bigint generated always as identity primary key, amount integer not null);
    alter table pair replica identity full;
    alter table coded replica identity using index coded_code_key;
    alter table bag replica identity full;
"""
STREAMS = (
    Stream("simple", ("id",)), Stream("pair", ("x", "y")), Stream("coded", ("code",)), Stream("bag", ()),
    Stream("credit", ("id",)), Stream("debit", ("id",)),
)  # fmt: skip
_BIG = "(select string_agg(md5((i * {})::text), '') from generate_series(1, 300) as i)"
_REFUSED = (psycopg.errors.UniqueViolation, psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

keys = st.integers(1, 6)
words = st.one_of(st.none(), st.text(alphabet="aé'\"\\{} ", max_size=6))
sizes = st.sampled_from([None, 1, 2])
sessions = st.integers(0, SESSIONS - 1)
points = st.sampled_from([point for point in FailPoint if point is not FailPoint.IN_SNAPSHOT])


class Histories(RuleBasedStateMachine):
    """Sessions that write as they like, and syncs that end as they should or not at all."""

    def __init__(self, replica: Replica) -> None:
        super().__init__()
        self.replica = replica
        self.opened = ExitStack()
        self.sessions = [
            self.opened.enter_context(psycopg.connect(replica.url, options="-c lock_timeout=100ms"))
            for _ in range(SESSIONS)
        ]
        self.locking: set[int] = set()

    def do(self, session: int, *statements: str, **values: Any) -> None:
        """Run the statements in the session's transaction, all or, where the server refuses one, none."""
        connection = self.sessions[session]
        connection.execute("select 1")
        with suppress(*_REFUSED), connection.transaction():
            for statement in statements:
                connection.execute(statement, values)  # type: ignore[arg-type]

    @initialize()
    def begin(self) -> None:
        names = ", ".join(stream.name for stream in STREAMS)
        self.replica.execute("alter table simple replica identity default", f"truncate {names}")

    @rule(session=sessions, key=keys, name=words, size=sizes)
    def upsert(self, session: int, key: int, name: str | None, size: int | None) -> None:
        self.do(
            session,
            f"insert into simple values (%(key)s, %(name)s, {_BIG.format(size) if size else 'null'})"
            " on conflict (id) do update set name = excluded.name, big = excluded.big",
            key=key, name=name,
        )  # fmt: skip

    @rule(session=sessions, key=keys, name=words)
    def rename(self, session: int, key: int, name: str | None) -> None:
        self.do(session, "update simple set name = %(name)s where id >= %(key)s", key=key, name=name)

    @rule(session=sessions, key=keys)
    def delete(self, session: int, key: int) -> None:
        self.do(session, "delete from simple where id = %(key)s", key=key)

    @rule(session=sessions, one=keys, other=keys)
    def swap(self, session: int, one: int, other: int) -> None:
        self.do(
            session,
            "update simple set id = -1 where id = %(one)s",
            "update simple set id = %(one)s where id = %(other)s",
            "update simple set id = %(other)s where id = -1",
            one=one, other=other,
        )  # fmt: skip

    @rule(session=sessions, key=keys, name=words)
    def reinsert(self, session: int, key: int, name: str | None) -> None:
        self.do(
            session,
            "delete from simple where id = %(key)s",
            "insert into simple values (%(key)s, %(name)s, null)",
            "update simple set name = name where id = %(key)s",
            key=key, name=name,
        )  # fmt: skip

    @rule(session=sessions, key=keys, name=words)
    def live_and_die(self, session: int, key: int, name: str | None) -> None:
        self.do(
            session,
            f"insert into simple values (100 + %(key)s, %(name)s, {_BIG.format(3)})",
            "update simple set id = 200 + %(key)s where id = 100 + %(key)s",
            "delete from simple where id = 200 + %(key)s",
            key=key, name=name,
        )  # fmt: skip

    @rule(session=sessions, x=keys, y=keys, name=words, size=sizes)
    def pair(self, session: int, x: int, y: int, name: str | None, size: int | None) -> None:
        self.do(
            session,
            f"insert into pair values (%(x)s, %(y)s, %(name)s, {_BIG.format(size) if size else 'null'})"
            " on conflict (x, y) do update set name = excluded.name",
            "update pair set y = y + 10 where x = %(y)s",
            x=x, y=y, name=name,
        )  # fmt: skip

    @rule(session=sessions, x=keys)
    def delete_pairs(self, session: int, x: int) -> None:
        self.do(session, "delete from pair where x = %(x)s", x=x)

    @rule(session=sessions, key=keys, other=keys, name=words, size=sizes)
    def code(self, session: int, key: int, other: int, name: str | None, size: int | None) -> None:
        self.do(
            session,
            f"insert into coded values (%(key)s, 'code ' || %(key)s, %(name)s, {_BIG.format(size) if size else 'null'})"
            " on conflict (code) do update set id = coded.id + 1",
            "delete from coded where id = %(other)s",
            "update coded set code = 'a code longer than a view holds in itself ' || id, name = %(name)s"
            " where code = 'code ' || %(other)s",
            key=key, other=other, name=name,
        )  # fmt: skip

    @rule(session=sessions, key=keys, name=words, times=keys)
    def fill_bag(self, session: int, key: int, name: str | None, times: int) -> None:
        self.do(
            session,
            "insert into bag select %(key)s, %(name)s from generate_series(1, %(times)s)",
            "update bag set x = x + 1 where ctid in (select ctid from bag where x = %(times)s limit 1)",
            "delete from bag where ctid in (select ctid from bag where x = %(key)s limit 1)",
            key=key, name=name, times=times,
        )  # fmt: skip

    @rule(session=sessions, times=st.sampled_from([1, 3, 100]), amount=keys)
    def transfer(self, session: int, times: int, amount: int) -> None:
        self.do(
            session,
            "insert into credit (amount) select %(amount)s from generate_series(1, %(times)s)",
            "update credit set amount = amount + 1 where id = (select max(id) from credit)",
            "insert into debit (amount) select - %(amount)s from generate_series(1, %(times)s)",
            "insert into debit (amount) values (-1)",
            amount=amount, times=times,
        )  # fmt: skip

    @rule(session=sessions, names=st.sampled_from(["simple", "pair, simple", "bag, coded", "credit, debit"]))
    def truncate(self, session: int, names: str) -> None:
        self.do(session, f"truncate {names}")
        self.locking.add(session)

    @rule(session=sessions, key=keys)
    def undo(self, session: int, key: int) -> None:
        self.do(
            session,
            "savepoint undone",
            "update simple set name = 'undone' where id <> %(key)s",
            "delete from pair",
            "truncate bag",
            "insert into credit (amount) values (1000)",
            "rollback to savepoint undone",
            key=key,
        )
        self.locking.add(session)

    @rule(session=sessions, identity=st.sampled_from(["full", "default"]))
    def identify(self, session: int, identity: str) -> None:
        self.do(session, f"alter table simple replica identity {identity}")
        self.locking.add(session)

    @rule(session=sessions)
    def commit(self, session: int) -> None:
        self.sessions[session].commit()

    @rule(session=sessions)
    def roll_back(self, session: int) -> None:
        self.sessions[session].rollback()

    def unlock(self) -> None:
        """Commit where a table is locked against readers, for which a sync would wait."""
        for session in self.locking:
            self.sessions[session].commit()
        self.locking.clear()

    @rule()
    def sync(self) -> None:
        self.unlock()
        self.replica.sync()
        self.replica.assert_follows()
        self.read()

    @rule(point=points, calls=st.integers(1, 4))
    def sync_and_fail(self, point: FailPoint, calls: int) -> None:
        self.unlock()
        sync_interrupted(self.replica, point, calls)
        self.read()

    @rule(point=points, calls=st.integers(1, 4))
    def sync_and_die(self, point: FailPoint, calls: int) -> None:
        self.unlock()
        sync_killed(self.replica, point, calls)
        self.read()

    def read(self) -> None:
        """What a reader sees is what some transaction left: no half of one, and history with it."""
        self.replica.assert_follows(up_to_now=False)
        sums = (f"(select coalesce(sum(amount), 0) from raw.{name})" for name in ("credit", "debit"))
        assert self.replica.rows(f"select {' + '.join(sums)}") == [(0,)]

    def teardown(self) -> None:
        self.opened.close()
        self.replica.sync()
        self.replica.assert_equal()
        self.read()


@pytest.fixture
def histories(make_replica: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch) -> Replica:
    monkeypatch.setattr(log_reader, "BATCH_BYTES", BATCH_BYTES)
    replica = make_replica(TABLES, STREAMS)
    replica.sync()
    return replica


def test_after_every_sync_raw_is_the_source_and_history_replays_to_it(histories: Replica) -> None:
    run_state_machine_as_test(lambda: Histories(histories), settings=SETTINGS)
