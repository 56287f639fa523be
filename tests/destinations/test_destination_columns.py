"""What every destination makes of columns that come, go, swap their names, or have any."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from stores import Carried

from dvd_rental_dagster.catalog import Stream, SyncMode

Carry = Callable[..., Carried]


def test_columns_that_come_and_go_do_so_in_the_warehouse(carried: Carried) -> None:
    carried.execute(
        "alter table item add column colour text, add column stock integer not null default 7",
        "update item set colour = 'red' where id = 1",
        "alter table item drop column notes",
        "alter table item rename column name to title",
        "alter table item alter column price type numeric",
        "update item set price = 1.23456 where id = 2",
    )
    carried.sync()
    carried.assert_equal()
    carried.assert_is_the_source("item")
    assert "notes" not in carried.raw()[0]
    assert {"notes", "title", "colour", "stock"} <= set(carried.history()[0])
    assert len(carried.history()) == 20 + 20 + 2


@pytest.mark.parametrize("mode", [SyncMode.INCREMENTAL_DEDUPED_HISTORY, SyncMode.INCREMENTAL_APPEND])
def test_rows_without_a_key_that_get_a_default_are_other_rows(carry: Carry, mode: SyncMode) -> None:
    carried = carry(
        "create table bag (x integer, name text); alter table bag replica identity full",
        (Stream("bag", (), mode=mode),),
    )
    carried.execute("insert into bag select i % 3, 'n' from generate_series(1, 9) as i")
    carried.sync()
    carried.execute("alter table bag add column extra integer default 7", "update bag set extra = 8 where x = 1")
    carried.execute("delete from bag where ctid = (select min(ctid) from bag where x = 2)")
    carried.sync()
    left: Counter[tuple[Any, ...]] = Counter()
    for row in carried.history("bag"):
        left[row["x"], row["extra"]] += 1 if row["_ab_cdc_deleted_at"] is None else -1
    assert +left == {(0, 7): 3, (1, 8): 3, (2, 7): 2}
    assert len(carried.raw("bag")) == (len(carried.history("bag")) if mode is SyncMode.INCREMENTAL_APPEND else 8)


def test_a_name_that_a_dropped_column_had_is_the_new_ones_alone(carried: Carried) -> None:
    carried.execute("update item set notes = 'dropped' where id = 1", "alter table item drop column notes")
    carried.execute("update item set price = 1 where id = 1")
    carried.sync()
    carried.transaction(
        "alter table item rename column price to notes",
        "alter table item rename column name to price",
        "update item set price = 'renamed' where id = 2",
    )
    carried.sync()
    carried.assert_equal()
    carried.execute("alter table item drop column notes", "delete from item where id = 3")
    carried.sync()
    carried.execute("alter table item add column notes integer", "update item set notes = 7 where id = 4")
    carried.sync()
    carried.assert_equal()
    carried.assert_is_the_source("item")
    assert "dropped" in {row["_airbyte_dropped_1_notes"] for row in carried.history()}


@pytest.mark.parametrize("name", ["notes", "NOTES"])
@pytest.mark.parametrize("mode", [SyncMode.INCREMENTAL_DEDUPED_HISTORY, SyncMode.INCREMENTAL_APPEND])
def test_a_load_that_brings_the_name_of_a_dropped_column_does_not_bring_its_values(
    carry: Carry, mode: SyncMode, name: str
) -> None:
    carried = carry(
        "create table item (id integer primary key, notes text); insert into item values (1, 'a'), (2, 'a')",
        (Stream("item", ("id",), mode=mode),),
    )
    carried.sync()
    carried.execute("alter table item drop column notes", "delete from item where id = 2")
    carried.sync()
    carried.execute(f'alter table item add column "{name}" integer', f'insert into item (id, "{name}") values (3, 7)')
    carried.sync(resync=["item"])
    carried.assert_equal()
    versions = sorted(carried.history(), key=lambda row: (row["id"], row["_ab_cdc_lsn"]))
    held = next(column for column in versions[0] if column.lower() == "notes")
    assert [row[held] for row in versions][-2:] == [None, 7]
    assert {row["_airbyte_dropped_1_notes"] for row in versions} >= {"a"}


def test_a_load_follows_a_name_to_another_case(carried: Carried) -> None:
    carried.execute('alter table item rename column notes to "NOTES"', """update item set "NOTES" = 'x' where id = 1""")
    carried.sync(resync=["item"])
    carried.assert_equal()
    carried.execute("update item set price = 1 where id = 2")
    carried.sync()
    carried.assert_equal()


def test_columns_may_swap_their_names(carried: Carried) -> None:
    carried.transaction(
        "alter table item rename column name to temporary",
        "alter table item rename column notes to name",
        "alter table item rename column temporary to notes",
        "update item set price = 0 where id = 1",
    )
    carried.sync()
    carried.assert_equal()
    carried.assert_is_the_source("item")


def test_names_of_any_characters_are_kept(carry: Carry) -> None:
    name, column = 'Öl "Tank" {0} %s; --', "a_name_of_sixty_three_bytes_which_is_the_longest_that_there_is_"
    quoted = name.replace('"', '""')
    carried = carry(
        f'create table "{quoted}" (id integer primary key, {column} text, "sel{{}}ect" text[])',
        (Stream(name, ("id",)),),
    )
    carried.execute(f"""insert into "{quoted}" values (1, 'a', '{{x,"y z"}}'), (2, null, null)""")
    carried.sync()
    carried.execute(f'alter table "{quoted}" rename {column} to "%"', f'update "{quoted}" set "%" = id')
    carried.sync()
    carried.assert_equal()
    carried.assert_is_the_source(name)
