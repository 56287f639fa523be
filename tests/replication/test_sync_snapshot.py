"""The full load and its seam with the log, while the source is written to."""

import importlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import duckdb
import psycopg
import pyarrow as pa
import pytest
from replica import FACTS, READING, Replica

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import SlotError, SourceLockedError, StreamTableError
from dvd_rental_dagster.replication import session, snapshot
from dvd_rental_dagster.replication.packed_columns import PackedColumns

STREAM_NAMES = ("item", "place", "empty")
ITEMS_AND_PLACES = (
    "insert into item values (%(number)s, 'new', 1, null)",
    "update place set label = %(number)s::text where x = %(number)s %% 5 + 1",
    "delete from item where id = %(number)s - 3",
)
READINGS = (
    "insert into reading values (%(number)s, null, 'infinity')",
    "update reading set value = -1, taken_at = now() where id in (%(number)s %% 6000, %(number)s - 2)",
    "delete from reading where id in (%(number)s * 7 %% 6000, %(number)s - 3)",
)


@contextmanager
def writing(replica: Replica, statements: tuple[str, ...] = ITEMS_AND_PLACES) -> Iterator[threading.Event]:
    """A writer that executes the statements in each of its transactions until the context ends."""
    stop, wrote = threading.Event(), threading.Event()

    def write() -> None:
        with psycopg.connect(replica.url, autocommit=True) as connection:
            number = 1_000_000
            while not stop.is_set():
                number += 1
                with connection.transaction():
                    for statement in statements:
                        connection.execute(statement, {"number": number})  # type: ignore[arg-type]
                wrote.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert wrote.wait(60)
        yield wrote
    finally:
        stop.set()
        writer.join()


def test_what_is_written_during_a_full_load_is_there_once(replica: Replica) -> None:
    with writing(replica) as wrote:

        def wait_for_writes(what: str, done: int, total: int | None) -> None:
            del done, total
            if what.startswith("Loading"):
                wrote.clear()
                assert wrote.wait(60)

        replica.sync(resync=STREAM_NAMES, progress=wait_for_writes)
    replica.sync()
    replica.assert_equal()
    assert replica.rows("select id from raw.item group by id having count(*) > 1") == []


@pytest.mark.usefixtures("small_ranges")
def test_what_is_written_between_two_ranges_of_a_table_of_facts_is_there_once(
    make_replica: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = make_replica(FACTS, (READING,))
    replica.execute("insert into reading select i, i / 100.0, '2024-01-01' from generate_series(1, 6000) as i")
    replica.sync()
    ranges = []
    rows = PackedColumns.rows
    with writing(replica, READINGS) as wrote, monkeypatch.context() as between:

        def wait_for_writes(columns: PackedColumns, packed: pa.RecordBatch) -> pa.RecordBatch:
            ranges.append(packed)
            wrote.clear()
            assert wrote.wait(60)
            return rows(columns, packed)

        between.setattr(PackedColumns, "rows", wait_for_writes)
        replica.sync(resync=["reading"])
    assert len(ranges) > 10
    replica.sync()
    replica.assert_equal()
    assert replica.rows("select id from raw.reading group by id having count(*) > 1") == []


def test_a_table_is_read_in_ranges_to_its_last_row(
    make_replica: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_RANGE_BLOCKS", 1)
    replica = make_replica()
    replica.execute(
        "insert into item select i, repeat('x', 200), i, null from generate_series(1, 2000) as i",
        "delete from item where id % 3 = 0",
    )
    with writing(replica):
        replica.sync()
    assert replica.rows("select count(*) from raw.item")[0][0] >= 1334
    replica.sync()
    replica.assert_equal()


def test_a_table_of_facts_is_read_in_ranges_to_its_last_null(
    make_replica: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PackedColumns, "blocks", 1)
    replica = make_replica(
        'create table reading (id integer primary key, taken_at timestamptz, "is ""OK"", 100%" boolean,'
        " value numeric(6, 2))",
        (Stream("reading", ("id",)),),
    )
    replica.execute(
        "insert into reading select i, '2024-01-01', i % 2 = 0, i / 100.0 from generate_series(1, 3000) as i",
        "insert into reading select i, null, i % 2 = 1, nullif(i % 10, 0) from generate_series(3001, 5000) as i",
        "insert into reading select i, now(), null, -i / 10.0 from generate_series(5001, 6000) as i",
        "delete from reading where id between 500 and 1500",
    )
    replica.sync()
    replica.assert_equal()
    every = """select id, "is ""OK"", 100%", value, taken_at is null from {}.reading order by id"""
    assert replica.rows(every.format("raw")) == replica.source(every.format("public"))
    replica.execute("truncate reading")
    replica.sync(resync=["reading"])
    replica.assert_equal()


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ("alter table place add column note text default 'before'", "insert into place values (100, 1, 'a', 'after')"),
        ("alter table place add column note text", "update place set note = 'after'"),
        ("alter table place rename column label to title", "update place set title = 'after'"),
        ("alter table place drop column label", "insert into place values (100, 1)"),
    ],
)
def test_a_table_altered_after_the_snapshot_was_taken_and_before_it_is_read(
    replica: Replica, change: str, rows: str
) -> None:
    altered: list[str] = []

    def alter(what: str, done: int, total: int | None) -> None:
        del done, total
        if what == "Loading item" and not altered:
            altered.append(what)
            replica.execute(change, rows)

    replica.sync(resync=STREAM_NAMES, progress=alter)
    assert altered
    replica.sync()
    replica.assert_equal()


@pytest.mark.parametrize(
    "change",
    ["alter table place alter column y type bigint", "alter table place add column r float default random()"],
)
def test_a_table_rewritten_after_the_snapshot_was_taken_is_refused_and_not_taken_as_empty(
    replica: Replica, change: str
) -> None:
    def rewrite(what: str, done: int, total: int | None) -> None:
        del done, total
        if what == "Loading item":
            replica.execute(change)

    before = replica.rows("select * from raw.place order by x")
    with pytest.raises(StreamTableError, match=r"public\.place was rewritten .* Run it again"):
        replica.sync(resync=STREAM_NAMES, progress=rewrite)
    assert replica.rows("select * from raw.place order by x") == before
    replica.sync(resync=STREAM_NAMES)
    replica.assert_equal()


def test_a_table_that_another_session_keeps_to_itself_ends_the_wait(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOCK_WAIT_SECONDS", 1)
    with psycopg.connect(replica.url) as other:

        def hold(what: str, done: int, total: int | None) -> None:
            del done, total
            if what == "Loading item":
                other.execute("lock table place in access exclusive mode")

        with pytest.raises(SourceLockedError, match=r"keeps a table.*pg_terminate_backend"):
            replica.sync(resync=STREAM_NAMES, progress=hold)
        other.rollback()
    replica.sync(resync=STREAM_NAMES)
    replica.assert_equal()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (("revoke select on place from {}",), "permission denied"),
        (
            ("alter table place enable row level security", "create policy few on place to {} using (x < 3)"),
            "row-level security policy",
        ),
    ],
)
def test_a_table_that_may_not_be_read_whole_is_named_and_readers_keep_what_they_had(
    replica: Replica, limits: tuple[str, ...], reason: str
) -> None:
    role = psycopg.conninfo.conninfo_to_dict(replica.url)["dbname"]
    replica.execute(
        f"create role {role} login replication password 'secret'",
        f"grant select on item, place, empty to {role}",
        *(limit.format(role) for limit in limits),
    )
    before = replica.rows("select * from raw.place order by x")
    parameters = {"user": role, "password": "secret"}
    limited = Replica(psycopg.conninfo.make_conninfo(replica.url, **parameters), replica.warehouse, replica.streams)
    try:
        with pytest.raises(StreamTableError, match=f"place cannot be read: .*{reason}"):
            limited.sync(resync=STREAM_NAMES)
        assert replica.rows("select * from raw.place order by x") == before
    finally:
        replica.execute(f"drop owned by {role}", f"drop role {role}")


def test_a_restored_or_different_server_is_never_followed_unasked(replica: Replica) -> None:
    with duckdb.connect(replica.warehouse) as warehouse:
        warehouse.execute("update ledger.position set system_identifier = '1'")
    with pytest.raises(SlotError, match=r"was loaded from database .* of server 1;.*dvd-rental resync"):
        replica.sync()
    replica.sync(resync=STREAM_NAMES)
    replica.assert_equal()


def test_the_instant_of_a_sync_grows_also_when_the_clock_goes_back(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("dvd_rental_dagster.replication.sync")
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: 1_000_000_000.0, perf_counter=time.perf_counter))
    replica.execute("insert into item values (900, 'late', 1, null)")
    replica.sync()
    [(late, others)] = replica.rows(
        "select max(_airbyte_extracted_at) filter (id = 900), max(_airbyte_extracted_at) filter (id <> 900)"
        " from history.item"
    )
    assert late > others
