"""What every destination makes of a load over rows that are there: of the same stream, under another key or mode."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from stores import Carried

from dvd_rental_dagster.catalog import Stream, SyncMode

Carry = Callable[..., Carried]


def test_a_resync_replaces_raw_and_records_the_difference(carried: Carried) -> None:
    carried.execute("update item set name = 'x' where id = 1", "delete from item where id = 2")
    report = carried.sync(resync=["item"])
    assert report.streams["item"].snapshot == 19
    carried.assert_equal()
    assert {row["_airbyte_generation_id"] for row in carried.raw()} == {1}
    assert len(carried.history()) == 20 + 2


def test_a_resync_after_a_type_changed_holds_old_values_and_new(carried: Carried) -> None:
    carried.execute(
        "alter table item alter column id type bigint, alter column price type integer using 2147483647,"
        " alter column notes type integer using 5",
    )
    carried.sync(resync=["item"])
    assert carried.verify().equal
    carried.assert_is_the_source("item")
    assert len(carried.history()) == 20 + 20


def test_a_resync_under_a_new_key_deletes_the_versions_under_the_old(carried: Carried) -> None:
    carried.execute("alter table item drop id, add number integer generated always as identity primary key")
    carried.streams = tuple(replace(each, primary_key=("number",)) if each.name == "item" else each
                            for each in carried.streams)  # fmt: skip
    carried.sync(resync=["item"])
    carried.assert_equal()
    carried.assert_is_the_source("item")
    assert len([row for row in carried.history() if row["_ab_cdc_deleted_at"]]) == 20


def test_a_resync_takes_a_missing_double_for_what_it_was(carried: Carried) -> None:
    carried.execute("alter table item add weight double precision")
    carried.sync(resync=["item"])
    assert len(carried.history()) == 20


@pytest.mark.parametrize("before", [SyncMode.INCREMENTAL_APPEND, SyncMode.FULL_REFRESH_OVERWRITE])
def test_a_stream_that_comes_into_another_mode_has_its_rows_and_versions(carry: Carry, before: SyncMode) -> None:
    carried = carry(streams=(Stream("item", ("id",), mode=before),))
    carried.execute("insert into item values (1, 'a', 1, null), (2, 'b', 1, null), (3, 'c', 1, null)")
    carried.sync()
    carried.execute("update item set name = 'x' where id = 1", "delete from item where id = 2")
    carried.sync()
    carried.streams = (Stream("item", ("id",)),)
    carried.execute("update item set name = 'y' where id = 3")
    carried.sync()
    carried.assert_equal()
    carried.assert_is_the_source("item")
    carried.streams = (Stream("item", ("id",), mode=before),)
    carried.sync()
    carried.streams = (Stream("item", ("id",)),)
    carried.execute("delete from item where id = 3")
    carried.sync()
    carried.assert_equal()
