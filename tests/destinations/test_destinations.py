"""What every destination keeps of the one contract: rows, versions, the ledger with them, all or nothing."""

import importlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from stores import Carried, Row, Store
from type_matrix import Matrix

from dvd_rental_dagster.catalog import STREAMS, Stream, SyncMode
from dvd_rental_dagster.replication import log_reader

Carry = Callable[..., Carried]
LONG = "(select string_agg(md5((i * {0})::text), '') from generate_series(1, 300) as i)"
CHANGES = (
    "insert into item values (100, 'new', 1, null)",
    "update item set price = 2 where id = 100",
    "update item set id = 200 where id = 2",
    "delete from item where id = 3",
)
# A row of every table of the DVD Rental, and of every type of theirs values at the edges.
DVD_RENTALS = """
    set session_replication_role = replica;
    insert into actor values (1, 'Penelope', E'O''Brien "\\\\ \\t\\n', '2013-05-26 14:47:57.62');
    insert into address values (1, '47 MySakila Drive', null, '', 300, '', '', '2006-02-15 09:45:30');
    insert into category values (1, '\\N', '2006-02-15 09:46:27'), (2, E'\\\\.', '9999-12-31 23:59:59.999999');
    insert into city values (1, 'A Coruña (La Coruña)', 87, '1969-12-31 23:59:59.999999');
    insert into country values (1, '中国 🎬', '0001-01-01 00:00:00');
    insert into customer values (1, 1, 'Mary', 'Smith', null, 5, true, '2006-02-14', '2006-02-15 09:57:20', 1);
    insert into customer values (2, 32767, '', ' ', 'a@b.c', 5, false, '9999-12-31', null, null);
    insert into film values
        (1, 'Ü', E'a\\rb', 2006, 1, 6, 0.99, null, 20.99, 'PG-13', now(), '{Trailers,"Deleted Scenes"}', 'a:1A b'),
        (2, '', null, null, 1, -32768, -99.99, 32767, 999.99, null, now(), null, ''),
        (3, ',;"', '{}', 1901, 1, 0, 0.00, 0, 0.10, 'NC-17', now(), '{NULL,"NULL","",",\\"{}"}', '');
    insert into film_actor values (1, 1, '2006-02-15 10:05:03'), (1, 2, '2006-02-15 10:05:03.1');
    insert into film_category values (1, 6, '2006-02-15 10:07:09');
    insert into inventory values (2147483647, 1, 1, '2006-02-15 10:09:17'), (-2147483648, 1, 1, '2006-02-15 10:09:17');
    insert into language values (1, 'English', '2006-02-15 10:02:19'), (2, '', '2006-02-15 10:02:19');
    insert into payment values (1, 341, 2, 1520, 7.99, '2007-02-15 22:25:46.996577'), (2, 1, 1, 1, -999.99, now());
    insert into rental values (1, '2005-05-24 22:53:30', 367, 130, null, 1, '2006-02-16 02:30:53');
    insert into staff values (1, 'Mike', 'Hillyer', 3, null, 1, true, 'Mike', null, now(), '\\x89504e470d0a5c00ff');
    insert into staff values (2, 'Jon', 'Stephens', 4, '', 2, false, 'Jon', '8cb2', now(), '');
    insert into store values (1, 1, 1, '2006-02-15 09:57:12');
"""


@pytest.fixture
def value(carry: Carry) -> Carried:
    return carry("", (Stream("value", ("id",)),))


def keyed(rows: list[Row]) -> dict[Any, Row]:
    return {row["id"]: row for row in rows}


def test_a_first_load_is_the_source_with_a_version_of_every_row(carried: Carried) -> None:
    carried.assert_equal()
    carried.assert_is_the_source("item")
    carried.assert_is_the_source("place")
    assert carried.raw("empty") == []
    assert [row["id"] for row in sorted(carried.history(), key=lambda row: row["id"])] == list(range(1, 21))


def test_a_row_carries_the_columns_of_the_contract(carried: Carried) -> None:
    before = datetime.now(UTC)
    carried.sync(resync=["item"])
    carried.execute("update item set price = 3 where id = 1", "delete from item where id = 2")
    report = carried.sync()
    changed, deleted = carried.history()[-2:]
    assert list(changed) == [
        "_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_meta", "_airbyte_generation_id",
        "id", "name", "price", "notes",
        "_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at",
    ]  # fmt: skip
    assert len({str(UUID(row["_airbyte_raw_id"])) for row in carried.history()}) == 22
    assert before < changed["_airbyte_extracted_at"] <= datetime.now(UTC)
    assert changed["_airbyte_meta"] == {"sync_id": report.sync_id, "changes": []}
    assert changed["_airbyte_generation_id"] == 1
    assert report.start_lsn <= changed["_ab_cdc_lsn"] < deleted["_ab_cdc_lsn"] <= report.end_lsn
    assert changed["_ab_cdc_deleted_at"] is None
    assert deleted["_ab_cdc_deleted_at"] == deleted["_ab_cdc_updated_at"] > changed["_ab_cdc_updated_at"] > before


def test_a_transaction_leaves_raw_equal_to_the_source(carried: Carried) -> None:
    for statements in (
        CHANGES,
        (
            "update item set id = -1 where id = 4",
            "update item set id = 4 where id = 5",
            "update item set id = 5 where id = -1",
        ),
        ("delete from item where id = 5", "insert into item values (5, 'again', 1, null)"),
        ("insert into item values (300, 'a', 1, null)", "delete from item where id = 300"),
        ("update place set y = 77 where x = 2", "update item set name = null, notes = '' where id = 7"),
        ("update item set name = name",),
        ("truncate item, place", "insert into item values (1, 'after', 1, null)"),
    ):
        carried.transaction(*statements)
        carried.sync()
        carried.assert_is_the_source("item")
        carried.assert_is_the_source("place")
    carried.assert_equal()


def test_history_has_each_version_in_order(carried: Carried) -> None:
    carried.execute(*CHANGES)
    carried.sync()
    versions = carried.history()[20:]
    assert [(row["id"], row["name"], str(row["price"]), row["_ab_cdc_deleted_at"] is not None) for row in versions] == [
        (100, "new", "1.00", False),
        (100, "new", "2.00", False),
        (2, None, "None", True),
        (200, "item 2", "3.00", False),
        (3, None, "None", True),
    ]


def test_a_truncate_writes_a_delete_for_every_row(carried: Carried) -> None:
    carried.execute("truncate item")
    assert carried.sync().streams["item"].truncated == 20
    assert carried.raw() == []
    assert sorted(row["id"] for row in carried.history() if row["_ab_cdc_deleted_at"]) == list(range(1, 21))


@pytest.mark.parametrize("identity", ["default", "full"])
@pytest.mark.parametrize("mode", [SyncMode.INCREMENTAL_DEDUPED_HISTORY, SyncMode.INCREMENTAL_APPEND])
def test_a_toasted_value_that_did_not_change_is_kept(carry: Carry, identity: str, mode: SyncMode) -> None:
    carried = carry(streams=(Stream("item", ("id",), mode=mode),))
    carried.execute(
        f"alter table item replica identity {identity}", f"insert into item values (1, 'a', 1, {LONG.format(1)})"
    )
    carried.sync()
    carried.transaction("update item set price = 2 where id = 1", "update item set price = 3 where id = 1")
    carried.execute(
        f"insert into item values (2, 'b', 1, {LONG.format(2)})",
        "update item set price = 9 where id = 2",
        "update item set id = 10, name = 'moved' where id = 1",
        "update item set price = 4 where id = 10",
        "update item set notes = null where id = 2",
        "update item set price = 5 where id = 2",
    )
    carried.sync()
    carried.assert_equal()
    lengths = [row["notes"] and len(row["notes"]) for row in carried.history() if row["_ab_cdc_deleted_at"] is None]
    assert lengths == [9600] * 7 + [None] * 2
    if mode is SyncMode.INCREMENTAL_DEDUPED_HISTORY:
        carried.assert_is_the_source("item")


def test_appended_streams_keep_every_version_in_raw(carry: Carry) -> None:
    carried = carry(streams=(Stream("item", ("id",), mode=SyncMode.INCREMENTAL_APPEND),))
    carried.execute("insert into item values (1, 'a', 1, null), (2, 'c', 1, null)")
    carried.sync()
    carried.execute("update item set name = 'b' where id = 1", "delete from item where id = 1", "truncate item")
    carried.sync()
    carried.execute("insert into item values (3, 'd', 1, null)")
    carried.sync(resync=["item"])
    for rows in (carried.raw(), carried.history()):
        rows.sort(key=lambda row: (row["_ab_cdc_lsn"], row["id"]))
        assert [(row["id"], row["name"], row["_ab_cdc_deleted_at"] is not None) for row in rows] == [
            (1, "a", False),
            (2, "c", False),
            (1, "b", False),
            (1, None, True),
            (2, "c", True),
            (3, "d", False),
        ]


def test_full_refresh_streams_are_replaced_at_every_sync(carry: Carry) -> None:
    carried = carry(streams=(Stream("item", ("id",), mode=SyncMode.FULL_REFRESH_OVERWRITE),))
    carried.execute("insert into item values (1, 'a', 1, null)")
    carried.sync()
    carried.execute("delete from item", "insert into item values (2, 'b', 1, null)")
    carried.sync()
    assert [(row["id"], row["name"]) for row in carried.raw()] == [(2, "b")]
    assert carried.history() == []
    assert carried.verify().equal


def test_rows_without_a_key_are_counted(carry: Carry) -> None:
    carried = carry(
        "create table bag (x integer, word text, doc json); alter table bag replica identity full", (Stream("bag", ()),)
    )
    one = "ctid = (select min(ctid) from bag where x is not distinct from {})"
    carried.execute("""insert into bag values (1, 'a', '{"b": 1}'), (1, 'a', '{"b": 1}'), (null, null, null)""")
    carried.sync()
    carried.assert_equal()
    for statements in (
        ("insert into bag values (1, 'a', '{\"b\": 1}'), (null, null, null)",),
        (f"delete from bag where {one.format(1)}", f"delete from bag where {one.format('null')}"),
        (f"update bag set word = 'b' where {one.format(1)}",),
        ("delete from bag", "insert into bag values (2, 'c', '[]'), (2, 'c', '[]'), (2, 'c', '[ ]')"),
        ("truncate bag", "insert into bag values (3, 'd', null)"),
    ):
        carried.transaction(*statements)
        carried.sync()
        carried.assert_is_the_source("bag")
    carried.assert_equal()


def test_every_type_of_dvd_rental_is_exact_from_snapshot_and_log(carry: Carry, tables: str) -> None:
    carried = carry("", STREAMS, tables)
    carried.execute(DVD_RENTALS)
    carried.sync()
    carried.assert_equal()
    for stream in STREAMS:
        carried.assert_is_the_source(stream.name)
        assert carried.raw(stream.name)
    carried.execute(*(f"truncate {stream.name} cascade" for stream in STREAMS), DVD_RENTALS)
    carried.sync()
    carried.assert_equal()
    for stream in STREAMS:
        carried.assert_is_the_source(stream.name)


def test_a_value_of_any_type_is_the_same_from_snapshot_and_log(value: Carried, store: Store) -> None:
    with psycopg.connect(value.url) as connection:
        matrix = Matrix.make(connection)
    for column, pg_type in matrix.columns.items():
        if unfit := store.unfit(pg_type):
            value.execute(f"update value set {column} = null where {unfit.format(column)}")
    value.sync()
    value.execute(matrix.copy(1000))
    value.sync()
    held = keyed(store.texts("raw", "value"))
    assert len(held) == 2 * matrix.rows
    assert [[held[row][column] for column in matrix.columns] for row in range(1, matrix.rows + 1)] == [
        [held[row + 1000][column] for column in matrix.columns] for row in range(1, matrix.rows + 1)
    ]
    assert value.verify().equal
    value.sync(resync=["value"])
    assert len(store.texts("history", "value")) == 2 * matrix.rows


def test_a_second_sync_writes_nothing(carried: Carried) -> None:
    def ids() -> list[str]:
        return [row["_airbyte_raw_id"] for row in (*carried.raw(), *carried.history())]

    before = ids()
    assert carried.sync().changed == ()
    assert ids() == before


def test_a_transaction_larger_than_a_batch_is_seen_whole(carried: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "BATCH_BYTES", 4096)
    carried.transaction(
        "insert into item select i, 'x', i, repeat('y', 100) from generate_series(1000, 1500) as i",
        "update item set price = 1 where id > 1200",
        "delete from item where id > 1400",
    )
    carried.sync()
    carried.assert_equal()
    carried.assert_is_the_source("item")


def test_a_difference_is_found_and_named(carried: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("dvd_rental_dagster.replication.sync")
    monkeypatch.setattr(module, "check_marks", lambda *_: None)  # which would not let it come to a difference
    carried.execute(
        "alter publication everything set (publish = 'insert')",
        "update item set name = 'unseen' where id = 7",
        "delete from item where id = 11",
        "alter publication everything set (publish = 'insert, update, delete, truncate')",
    )
    item = next(comparison for comparison in carried.verify().comparisons if comparison.stream == "item")
    assert (item.source_rows, item.warehouse_rows, item.differing_keys) == (19, 20, ((7,), (11,)))
