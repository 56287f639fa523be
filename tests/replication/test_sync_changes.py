"""Every change at the source lands in ``raw`` and ``history``."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import duckdb
import psycopg
import pytest
from replica import Replica

from dvd_rental_dagster.catalog import Stream, SyncMode
from dvd_rental_dagster.errors import SlotError
from dvd_rental_dagster.replication import log_reader, slot
from dvd_rental_dagster.replication.destinations import duckdb_file


def test_insert_update_and_delete_arrive_with_every_version(replica: Replica) -> None:
    replica.execute(
        "insert into item values (100, 'new', 9.99, 'first')",
        "update item set price = 10.01 where id = 100",
        "delete from item where id = 1",
    )
    report = replica.sync().streams["item"]
    assert (report.inserted, report.updated, report.deleted) == (1, 1, 1)
    replica.assert_equal()
    assert replica.rows("select price::varchar from history.item where id = 100 order by _ab_cdc_lsn") == [
        ("9.99",),
        ("10.01",),
    ]


@pytest.mark.parametrize(
    "statements",
    [
        ("update item set id = 200 where id = 2",),
        (
            "update item set id = -1 where id = 3",
            "update item set id = 3 where id = 4",
            "update item set id = 4 where id = -1",
        ),
        ("delete from item where id = 5", "insert into item values (5, 'again', 1, null)"),
        (
            "insert into item values (300, 'a', 1, null)",
            "update item set name = 'b' where id = 300",
            "delete from item where id = 300",
        ),
        ("update place set y = 77 where x = 2",),
        ("truncate item",),
        ("truncate item, place",),
        ("truncate item", "insert into item values (1, 'after', 1, null)"),
        ("insert into item values (301, 'before', 1, null)", "truncate item cascade"),
        ("savepoint s", "delete from item", "rollback to savepoint s", "update item set name = 'kept' where id = 6"),
        ("update item set name = null, notes = '' where id = 7",),
        ("update item set name = name",),
    ],
    ids=lambda statements: "; ".join(statements)[:60],
)  # fmt: skip
def test_a_transaction_leaves_raw_equal_to_the_source(replica: Replica, statements: tuple[str, ...]) -> None:
    replica.transaction(*statements)
    replica.sync()
    replica.assert_equal()


def test_a_rolled_back_transaction_leaves_nothing(replica: Replica) -> None:
    with psycopg.connect(replica.url) as connection:
        connection.execute("delete from item")
        connection.rollback()
    assert replica.sync().changed == ()
    replica.assert_equal()


def test_a_key_change_is_a_delete_and_a_version(replica: Replica) -> None:
    replica.execute("update item set id = 200 where id = 2")
    report = replica.sync().streams["item"]
    assert (report.inserted, report.updated, report.deleted) == (0, 1, 0)
    assert replica.rows(
        "select id, _ab_cdc_deleted_at is not null from history.item where id in (2, 200) order by _ab_cdc_lsn, id"
    ) == [(2, False), (2, True), (200, False)]


def test_a_truncate_writes_a_delete_for_every_row(replica: Replica) -> None:
    replica.execute("truncate item")
    assert replica.sync().streams["item"].truncated == 20
    assert replica.rows("select count(*) from history.item where _ab_cdc_deleted_at is not null") == [(20,)]


def test_a_second_sync_without_changes_writes_nothing(replica: Replica) -> None:
    ids = "select _airbyte_raw_id from history.item order by all"
    before = replica.rows(ids)
    report = replica.sync()
    assert report.changed == ()
    assert replica.rows(ids) == before


@pytest.mark.parametrize("identity", ["default", "full"])
def test_a_toasted_value_that_did_not_change_is_kept(make_replica: Callable[..., Replica], identity: str) -> None:
    replica = make_replica()
    long = "(select string_agg(md5(i::text), '') from generate_series(1, 500) as i)"
    replica.execute(f"alter table item replica identity {identity}", f"insert into item values (1, 'a', 1, {long})")
    replica.sync()
    replica.transaction("update item set price = 2 where id = 1", "update item set price = 3 where id = 1")
    replica.execute(f"insert into item values (2, 'b', 1, {long})", "update item set price = 9 where id = 2")
    replica.execute("update item set id = 10, name = 'moved' where id = 1", "update item set price = 4 where id = 10")
    replica.sync()
    replica.assert_equal()
    assert replica.rows("select distinct length(notes) from history.item where _ab_cdc_deleted_at is null") == [
        (16000,)
    ]


def test_a_transaction_larger_than_a_batch_is_seen_whole(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "BATCH_BYTES", 4096)
    replica.transaction(
        "insert into item select i, 'x', i, repeat('y', 100) from generate_series(1000, 3000) as i",
        "update item set price = 1 where id > 2000",
        "delete from item where id > 2500",
    )
    replica.execute(*(f"insert into place values ({i}, {i}, 'p')" for i in range(100, 200)))
    report = replica.sync()
    assert report.transactions == 101
    replica.assert_equal()


def test_what_a_long_backlog_wrote_does_not_stay_in_memory(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "BATCH_BYTES", 1 << 20)
    monkeypatch.setattr(duckdb_file, "CACHED_BYTES", 4 << 20)
    text = "(select string_agg(encode(sha512((i * 10 + j)::text::bytea), 'hex'), '') from generate_series(1, 10) as j)"
    rows = "insert into item select i, {}, 1, null from generate_series({}, {}) as i"
    replica.execute(*(rows.format(text, first, first + 9999) for first in range(10000, 60000, 10000)))
    cached: list[tuple[int]] = []
    with duckdb.connect(replica.warehouse) as beside:  # the same instance, for it is the same process
        memory = "select memory_usage_bytes from duckdb_memory() where tag = 'BASE_TABLE'"
        replica.sync(progress=lambda *_: cached.extend(beside.execute(memory).fetchall()))
    assert max(cached) < (40 << 20,)


def test_a_long_transaction_among_short_ones_arrives_in_commit_order(replica: Replica) -> None:
    with psycopg.connect(replica.url) as long:
        long.execute("update item set name = 'long' where id = 8")
        replica.execute("update item set name = 'short' where id = 9")
        replica.sync()
        assert replica.rows("select id, name from raw.item where id in (8, 9) order by id") == [
            (8, "item 8"),
            (9, "short"),
        ]
        long.commit()
    replica.execute("update item set name = 'last' where id = 8")
    replica.sync()
    replica.assert_equal()


def test_a_transaction_that_commits_while_the_snapshot_waits_for_it_is_in_it_once(
    make_replica: Callable[..., Replica],
) -> None:
    replica = make_replica()
    replica.execute("insert into item values (1, 'a', 1, null), (2, 'b', 1, null)")
    with psycopg.connect(replica.url) as writer, ThreadPoolExecutor(1) as background:
        writer.execute("update item set name = 'changed' where id = 1")
        loading = background.submit(replica.sync)
        while not replica.source("select 1 from pg_locks where not granted and locktype = 'transactionid'"):
            assert not loading.done()
        writer.commit()
        loading.result()
    replica.execute("update item set name = 'after' where id = 2")
    replica.sync()
    replica.assert_equal()
    assert sorted(replica.versions("item", "id, name")) == [
        (1, "changed", False),
        (2, "after", False),
        (2, "b", False),
    ]


def test_a_snapshot_names_the_transaction_that_it_waited_for_too_long(
    make_replica: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "SNAPSHOT_WAIT_SECONDS", 1)
    replica = make_replica()
    with psycopg.connect(replica.url) as writer:
        writer.execute("insert into item values (1, 'a', 1, null)")
        with pytest.raises(SlotError, match=f"process {writer.info.backend_pid} of"):
            replica.sync()
    replica.sync()
    replica.assert_equal()


def test_a_slot_that_was_there_before_the_rows_makes_no_version_twice(make_replica: Callable[..., Replica]) -> None:
    replica = make_replica()
    replica.execute("insert into item values (1, 'a', 1, null)", "update item set name = 'b' where id = 1")
    replica.sync()
    replica.assert_equal()
    assert replica.versions("item", "id, name") == [(1, "b", False)]


def test_appended_streams_keep_every_version_in_raw(make_replica: Callable[..., Replica]) -> None:
    replica = make_replica(streams=(Stream("item", ("id",), mode=SyncMode.INCREMENTAL_APPEND),))
    replica.execute("insert into item values (1, 'a', 1, null)")
    replica.sync()
    replica.execute("update item set name = 'b' where id = 1", "delete from item where id = 1")
    replica.sync()
    versions = "select id, name, _ab_cdc_deleted_at is not null from raw.item order by _ab_cdc_lsn"
    assert replica.rows(versions) == [(1, "a", False), (1, "b", False), (1, None, True)]


def test_full_refresh_streams_are_replaced_at_every_sync(make_replica: Callable[..., Replica]) -> None:
    replica = make_replica(streams=(Stream("item", ("id",), mode=SyncMode.FULL_REFRESH_OVERWRITE),))
    replica.execute("insert into item values (1, 'a', 1, null)")
    replica.sync()
    replica.execute("delete from item", "insert into item values (2, 'b', 1, null)")
    replica.sync()
    assert replica.rows("select id, name from raw.item") == [(2, "b")]
    assert replica.rows("select count(*) from history.item") == [(0,)]


def test_a_column_added_in_the_stream_arrives(replica: Replica) -> None:
    replica.execute("alter table item add column colour text", "update item set colour = 'red' where id = 1")
    replica.sync()
    replica.assert_equal()


def test_a_resync_replaces_raw_and_records_the_difference(replica: Replica) -> None:
    replica.execute("update item set name = 'x' where id = 1", "delete from item where id = 2")
    report = replica.sync(resync=["item"])
    assert report.streams["item"].snapshot == 19
    replica.assert_equal()
    assert replica.rows("select distinct _airbyte_generation_id from raw.item") == [(1,)]
    assert replica.rows("select count(*) from history.item") == [(20 + 2,)]


def test_a_sync_ends_although_the_disk_holds_half_a_record_and_nobody_commits(replica: Replica) -> None:
    ((background_writer,),) = replica.source(
        "select pid from pg_stat_activity where backend_type = 'background writer'"
    )
    half_a_record_is_on_disk = """
        select pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()
        and (pg_current_wal_flush_lsn() - '0/0') % current_setting('wal_block_size')::integer = 0
    """
    with psycopg.connect(replica.url) as writing, ThreadPoolExecutor(1) as pool:
        writing.execute("insert into item values (400, 'unseen', 1, null)")
        os.kill(background_writer, signal.SIGSTOP)  # sooner or later it has the rest flushed
        try:
            while replica.source(half_a_record_is_on_disk) != [(True,)]:
                writing.execute("update item set notes = repeat('x', 500) where id = 400")
            assert pool.submit(replica.sync).result(timeout=60).rows == 0
        finally:
            os.kill(background_writer, signal.SIGCONT)
