"""What is its own about a warehouse of JSON lines."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from interruption import at, sync_killed
from stores import Carried, JsonStore
from test_full_disk import limit
from test_random_histories import BATCH_BYTES, LONG, SETTINGS, STREAMS, TABLES, Histories

from dvd_rental_dagster.catalog import STREAMS as DVD_RENTAL
from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import WarehouseBusyError, WarehouseError
from dvd_rental_dagster.replication import log_reader
from dvd_rental_dagster.replication.destinations.json_folder import JsonDestination
from dvd_rental_dagster.replication.destinations.json_lines import file_name
from dvd_rental_dagster.replication.failpoint import FailPoint

CHANGES = (
    "update item set price = 0 where id = 1",
    "delete from item where id = 2",
    "insert into place values (77, 77, 'new')",
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VALUES = (
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("numeric(38, 2)", "-123456789012345678901234567890.10", "-123456789012345678901234567890.10"),
    ("numeric(2, 2)", "-0.50", "-0.50"),
    ("numeric", "NaN", '"NaN"'),
    ("real", "0.1", "0.1"),
    ("double precision", "-Infinity", '"-Infinity"'),
    ("double precision", "NaN", '"NaN"'),
    ("boolean", "true", "true"),
    ("text", 'a"\\\n\té', r'"a\"\\\n\té"'),
    ("date", "0044-03-15 BC", '"0044-03-15 BC"'),
    ("timestamp", "2024-02-29 12:00:00.5", '"2024-02-29T12:00:00.500000"'),
    ("timestamptz", "2024-02-29 12:00:00+02", '"2024-02-29T10:00:00.000000Z"'),
    ("timestamptz", "0044-03-15 12:00:00+00 BC", '"0044-03-15T12:00:00.000000Z BC"'),
    ("timestamp", "infinity", '"infinity"'),
    ("time", "24:00:00", '"24:00:00"'),
    ("bytea", "\\x00FF", r'"\\x00ff"'),
    ("json", '{"a":\n1.10}', '{"a": 1.10}'),
    ("jsonb", "null", "null"),
    ("integer[]", "{1,NULL}", "[1,null]"),
    ("text[]", '{"a b"}', '["a b"]'),
    ("text", None, "null"),
)
"""A type, a value of it, and the value in a line."""


@pytest.fixture
def store(json_store: JsonStore) -> JsonStore:
    return json_store


def seen(store: JsonStore) -> dict[str, bytes]:
    """Every file that readers see, by its path."""
    current = store.folder / "current"
    return {str(path.relative_to(current)): path.read_bytes() for path in current.rglob("*") if path.is_file()}


def test_a_line_has_the_fields_of_local_json_and_those_of_the_contract(carried: Carried, store: JsonStore) -> None:
    [line] = [line for line in store.lines("raw", "item") if line["_airbyte_data"]["id"] == 3]
    assert list(line) == [
        "_airbyte_ab_id", "_airbyte_emitted_at",
        "_airbyte_extracted_at", "_airbyte_meta", "_airbyte_generation_id", "_airbyte_data",
    ]  # fmt: skip
    assert list(line["_airbyte_data"]) == [
        "id", "name", "price", "notes", "_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at",
    ]  # fmt: skip
    [row] = [row for row in carried.raw() if row["id"] == 3]
    assert line["_airbyte_emitted_at"] == (row["_airbyte_extracted_at"] - EPOCH) // timedelta(milliseconds=1)
    assert sorted(seen(store)) == sorted([
        "ledger.json", *(f"{schema}/_airbyte_raw_{name}.jsonl" for schema in ("raw", "history")
                         for name in ("item", "place", "empty")),
    ])  # fmt: skip


def test_every_value_is_written_with_all_its_digits(carry: Callable[..., Carried], store: JsonStore) -> None:
    columns = ", ".join(f"c_{number} {pg_type}" for number, (pg_type, _, _) in enumerate(VALUES))
    carried = carry(f"create table value (id integer primary key, {columns})", (Stream("value", ("id",)),))
    literals = ", ".join("null" if value is None else f"'{value}'" for _, value, _ in VALUES)
    carried.execute(f"insert into value values (1, {literals})")
    carried.sync()
    carried.execute(f"insert into value values (2, {literals})")
    carried.sync()
    texts = ",".join(f'"c_{number}":{text}' for number, (_, _, text) in enumerate(VALUES))
    lines = (store.folder / "current/raw" / file_name("value")).read_text().splitlines()
    assert len(lines) == 2
    for row, line in enumerate(sorted(lines, key=lambda line: '"id":2' in line), 1):
        assert f'"_airbyte_data":{{"id":{row},{texts},"_ab_cdc_lsn":' in line


def test_readers_see_a_sync_whole_or_not_at_all(carried: Carried, store: JsonStore) -> None:
    before, found = seen(store), []
    carried.transaction(*CHANGES)
    with at(FailPoint.IN_PUBLICATION, lambda: found.append(seen(store))):
        carried.sync()
    assert found == [before]
    after = seen(store)
    assert {name for name in after if after[name] != before[name]} == {
        "ledger.json", *(f"{schema}/{file_name(name)}" for schema in ("raw", "history") for name in ("item", "place"))
    }  # fmt: skip


def test_a_stream_without_changes_is_not_written_again(carried: Carried, store: JsonStore) -> None:
    untouched = store.folder / "current/raw" / file_name("place")
    before = untouched.resolve()
    carried.execute(CHANGES[0])
    carried.sync()
    assert untouched.resolve() != before
    assert untouched.samefile(before)


def test_a_reader_can_finish_the_files_that_a_sync_replaced(carried: Carried, store: JsonStore) -> None:
    generations = store.folder / "generations"
    for price in range(3):
        held = (store.folder / "current").resolve()
        content = seen(store)
        carried.execute(f"update item set price = {price} where id = 1")
        carried.sync()
        assert {name: (held / name).read_bytes() for name in content} == content
    assert len(list(generations.iterdir())) == 2


@pytest.mark.parametrize("calls", [1, 2], ids=["before the rename", "after the rename"])
def test_a_publication_that_is_killed_is_completed_when_the_folder_is_opened(
    carried: Carried, store: JsonStore, calls: int
) -> None:
    before = seen(store)
    carried.execute(*CHANGES)
    assert sync_killed(carried, FailPoint.IN_PUBLICATION, calls)
    assert (seen(store) == before) is (calls == 1)
    with store.destination():
        assert len(store.rows("history", "item")) == 22
    assert len(list((store.folder / "generations").iterdir())) == 2
    carried.assert_equal()


def test_history_that_grew_is_what_it_would_be_written_anew(carried: Carried, store: JsonStore) -> None:
    carried.execute(*CHANGES)
    carried.sync()
    carried.execute("alter table item rename name to title", "update item set price = 5 where id = 5", "truncate place")
    carried.sync()
    carried.execute("update item set price = 6 where id = 5", "insert into place values (1, 1, null)")
    carried.sync()
    grown = seen(store)
    shutil.rmtree(store.folder / "generations")
    with store.destination():
        pass
    assert {name: sorted(text.split(b"\n")) for name, text in seen(store).items()} == {
        name: sorted(text.split(b"\n")) for name, text in grown.items()
    }


def test_a_file_changed_by_hand_is_found_and_a_resync_mends_it(carried: Carried, store: JsonStore) -> None:
    path = store.folder / "current/raw" / file_name("item")
    whole = path.read_bytes()
    seventh = next(line for line in whole.splitlines(keepends=True) if b'"item 7"' in line)
    for content, rows, keys in (
        (whole.replace(b'"item 7"', b'"item 8"'), 20, ((7,),)),
        (whole.replace(seventh, b""), 19, ((7,),)),
        (whole + b"\xff", 21, ()),
        (b"", 0, ((1,), (2,), (3,), (4,), (5,))),
    ):
        path.write_bytes(content)
        item = next(comparison for comparison in carried.verify().comparisons if comparison.stream == "item")
        assert (item.equal, item.warehouse_rows, item.differing_keys) == (False, rows, keys)
    carried.sync(resync=["item"])
    carried.assert_equal()


def test_a_disk_too_full_for_the_files_loses_nothing(carried: Carried, store: JsonStore) -> None:
    before = seen(store)
    carried.execute("insert into item select i, repeat('x', 1000), 1, null from generate_series(100, 8000) as i")
    with limit(store.folder / "state.duckdb", 3 << 20):  # DuckDB has these rows in less
        for _ in range(2):
            with pytest.raises(WarehouseError, match=r"no room to write .*json.* Free some space, or move what"):
                carried.sync()
        assert seen(store) == before
    carried.sync()
    carried.assert_equal()


def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WarehouseError, match=r"file/json cannot be written: .* DVD_RENTAL_JSON_PATH\."):
        JsonDestination(tmp_path / "file/json").__enter__()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_another_is_named_with_a_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "json"
    folder.mkdir(mode=0o500)
    with pytest.raises(WarehouseError, match=r"json cannot be written: .* DVD_RENTAL_JSON_PATH\."):
        JsonDestination(folder).__enter__()


def test_one_writes_at_a_time(store: JsonStore) -> None:
    with store.destination(), pytest.raises(WarehouseBusyError, match="Another process holds"):
        store.destination(wait_seconds=0.1).__enter__()


def test_names_that_look_the_same_in_a_file_system_have_files_of_their_own() -> None:
    names = ("film", "film-x", "film x", "film_x", "film/../x", "ü" * 200, "ü" * 201)
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    assert (files[0], files[3]) == ("_airbyte_raw_film.jsonl", "_airbyte_raw_film_x.jsonl")
    assert all(len(name.encode()) < 255 and "/" not in name for name in files)


@pytest.mark.skipif(not LONG, reason="takes seconds for what others show: DVD_RENTAL_TEST_LONG=1")
def test_the_real_database_is_carried_whole(carry: Callable[..., Carried], restored: str, store: JsonStore) -> None:
    carried = carry("", DVD_RENTAL, restored)
    carried.sync()
    carried.execute("update film set rating = 'G' where film_id < 10")
    carried.sync()
    assert carried.verify().equal
    assert len(store.lines("history", "film")) == len(store.lines("raw", "film")) + 9


class OfJson(Carried):
    """What the random histories ask of a replica."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        assert isinstance(self.store, JsonStore)
        with duckdb.connect() as connection:
            connection.execute("create schema raw")
            for stream in self.streams:
                path = self.store.folder / "current/raw" / file_name(stream.name)
                connection.execute(
                    f"create view raw.{stream.name} as select (_airbyte_data ->> 'amount')::bigint as amount"
                    f" from read_ndjson('{path}', columns = {{_airbyte_data: 'json'}})"
                )
            return connection.execute(query).fetchall()


def test_random_histories_are_followed(database: str, store: JsonStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "BATCH_BYTES", BATCH_BYTES)
    carried = OfJson(database, Path(), STREAMS, store=store)
    carried.execute(*filter(str.strip, TABLES.split(";")))
    carried.prepare()
    carried.sync()
    run_state_machine_as_test(lambda: Histories(carried), settings=settings(SETTINGS, max_examples=5 if LONG else 1))
