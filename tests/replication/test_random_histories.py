"""Random histories against a real server: whatever happens at the source, raw equals it and history replays to raw."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
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
RESYNCS = 20 if LONG else 2  # of an example, its first included
TABLES = """
    create table simple (id integer primary key, name text, big text);
    create table pair (x integer, y integer, name text, big text, primary key (x, y));
    create table coded (id integer, code text not null unique, name text, big text);
    create table bag (x integer, name text);
    create table credit (id bigint generated always as identity primary key, amount integer not null);
    create table debit (id bigint generated always as identity primary key, amount integer not null);
    alter table coded replica identity using index coded_code_key;
    alter table bag replica identity full;
"""
STREAMS = (
    Stream("simple", ("id",)), Stream("pair", ("x", "y")), Stream("coded", ("code",)), Stream("bag", ()),
    Stream("credit", ("id",)), Stream("debit", ("id",)),
)  # fmt: skip
_BIG = "(select string_agg(md5((i * {})::text), '') from generate_series(1, 300) as i)"
_WAITER = "select exists (select from pg_locks where not granted and transactionid = %s::text::xid), pg_sleep(0.01)"
_REFUSED = (psycopg.errors.UniqueViolation, psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

keys = st.integers(1, 6)
words = st.one_of(st.none(), st.text(alphabet="aé'\"\\{} ", max_size=6))
sizes = st.sampled_from([None, 1, 2])
sessions = st.integers(0, SESSIONS - 1)
points = st.sampled_from([point for point in FailPoint if point is not FailPoint.IN_SNAPSHOT])
stops: st.SearchStrategy[Callable[..., bool]] = st.sampled_from([sync_interrupted, sync_killed])
resyncs: dict[str, st.SearchStrategy[Any]] = {
    "names": st.sampled_from([[stream.name for stream in STREAMS], *([stream.name] for stream in STREAMS)]),
    "session": sessions, "one": keys, "other": keys, "name": words,
    "stop": st.one_of(st.none(), stops), "calls": st.integers(1, len(STREAMS)),
}  # fmt: skip


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
        self.resyncs = 0

    def do(self, session: int, *statements: str, **values: Any) -> None:
        """Run the statements in the session's transaction, all or, where the server refuses one, none."""
        connection = self.sessions[session]
        connection.execute("select 1")
        with suppress(*_REFUSED), connection.transaction():
            for statement in statements:
                connection.execute(statement, values)  # type: ignore[arg-type]

    @initialize(**resyncs)
    def begin(self, **load: Any) -> None:
        names = ", ".join(stream.name for stream in STREAMS)
        self.replica.execute(
            "alter table simple replica identity default", "alter table pair replica identity full", f"truncate {names}"
        )
        self.resync(**load)

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

    @rule(session=sessions, name=st.sampled_from(["simple", "pair"]), identity=st.sampled_from(["full", "default"]))
    def identify(self, session: int, name: str, identity: str) -> None:
        self.do(session, f"alter table {name} replica identity {identity}")
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

    @rule(stop=stops, point=points, calls=st.integers(1, 4))
    def sync_and_stop(self, stop: Callable[..., bool], point: FailPoint, calls: int) -> None:
        self.unlock()
        stop(self.replica, point, calls)
        self.read()

    @precondition(lambda self: self.resyncs < RESYNCS)
    @rule(**resyncs)
    def resync(self, names: list[str], stop: Callable[..., bool] | None, calls: int, **writers: Any) -> None:
        self.resyncs += 1
        stopped = partial(stop, self.replica, FailPoint.IN_SNAPSHOT, min(calls, len(names))) if stop else None
        load = stopped or self.replica.sync
        assert self.beside_writers(partial(load, resync=names), **writers)
        self.replica.assert_follows(up_to_now=not stop)
        self.read()

    def beside_writers(self, load: Callable[[], Any], session: int, one: int, other: int, name: str | None) -> Any:
        """Load, and return what that does, while writers follow one another: one is open where the snapshot is taken.

        A snapshot waits for the writers that it finds, then for those that came meanwhile, and for nobody after them
        (PostgreSQL's src/backend/replication/logical/snapbuild.c, SnapBuildFindSnapshot).
        """
        self.unlock()
        follower = 1 - session
        self.sessions[follower].commit()
        with ThreadPoolExecutor(1) as pool:
            xid = self.write(session, one, name)
            loading = pool.submit(load)
            self.await_waiter(xid, loading)
            xid = self.write(follower, other, name)
            self.sessions[session].commit()
            self.await_waiter(xid, loading)
            self.write(session, one, name)
            self.sessions[follower].commit()
            return loading.result()

    def write(self, session: int, key: int, name: str | None) -> str:
        """Write into every table what the server lets the session write; its transaction's number."""
        self.upsert(session, key, name, 1)
        self.pair(session, key, key, name, 2)
        self.code(session, key, key, name, None)
        self.fill_bag(session, key, name, key)
        self.transfer(session, 3, key)
        [(xid,)] = self.sessions[session].execute("select pg_current_xact_id()::text")
        return str(xid)

    def await_waiter(self, xid: str, loading: "Future[Any]") -> None:
        """Wait until the load waits for the transaction, or ends where it should not."""
        with psycopg.connect(self.replica.url, autocommit=True) as observer:
            while not loading.done() and observer.execute(_WAITER, (xid,)).fetchone() != (True, ""):
                pass

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
