"""What stands in the way of a sync is named, with what helps, and nothing is loaded again unasked."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from replica import PUBLICATION, Replica

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import (
    LedgerError,
    PublicationError,
    SlotError,
    SourceUnreachableError,
    StreamTableError,
    WarehouseBusyError,
    WarehouseError,
)
from dvd_rental_dagster.replication import SyncReport, sync, verification
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination
from dvd_rental_dagster.replication.verification import verify


def test_a_missing_slot_is_named_with_the_command_that_makes_it(replica: Replica) -> None:
    replica.execute(f"select pg_drop_replication_slot('{replica.slot}')")
    with pytest.raises(SlotError, match="dvd-rental source prepare"):
        replica.sync()


def test_a_slot_made_again_is_no_silent_gap(replica: Replica) -> None:
    replica.execute(
        f"select pg_drop_replication_slot('{replica.slot}')",
        "insert into item values (900, 'lost', 1, null)",
        f"select pg_create_logical_replication_slot('{replica.slot}', 'pgoutput')",
    )
    with pytest.raises(SlotError, match="dvd-rental resync"):
        replica.sync()
    replica.sync(resync=[stream.name for stream in replica.streams])
    replica.assert_equal()


def test_changes_that_somebody_else_consumed_are_no_silent_gap(replica: Replica) -> None:
    replica.execute(
        "insert into item values (900, 'lost', 1, null)",
        f"select count(*) from pg_logical_slot_get_binary_changes('{replica.slot}', null, null,"
        f" 'proto_version', '1', 'publication_names', '{PUBLICATION}')",
    )
    with pytest.raises(SlotError, match="read by someone else"):
        replica.sync()


def test_a_missing_publication_is_named(replica: Replica) -> None:
    replica.execute(f"drop publication {PUBLICATION}")
    with pytest.raises(PublicationError, match=PUBLICATION):
        replica.sync()


@pytest.mark.parametrize(
    "cycle",
    [
        ("alter publication only_tables drop table item", "{}", "alter publication only_tables add table item"),
        ("drop publication only_tables", "{}", "create publication only_tables for table item, place, empty"),
        (
            "alter publication only_tables set (publish = 'insert')",
            "{}",
            "alter publication only_tables set (publish = 'insert, update, delete, truncate')",
        ),
    ],
)
def test_a_publication_that_left_a_table_out_for_a_while_is_no_silent_gap(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, cycle: tuple[str, ...]
) -> None:
    replica.execute("create publication only_tables for table item, place, empty")
    monkeypatch.setattr("replica.PUBLICATION", "only_tables")
    replica.sync(resync=["item", "place", "empty"])
    replica.execute(*(statement.format("update item set name = 'unseen' where id = 1") for statement in cycle))
    with pytest.raises(PublicationError, match=r"changed for (empty, )?item.*dvd-rental resync (empty )?item"):
        replica.sync()
    replica.sync(resync=["item", "place", "empty"])
    replica.assert_equal()


def test_a_publication_takes_further_tables_without_a_word(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    replica.execute("create publication only_tables for table item, place, empty", "create table further (id integer)")
    monkeypatch.setattr("replica.PUBLICATION", "only_tables")
    replica.sync(resync=["item", "place", "empty"])
    replica.execute("alter publication only_tables add table further", "update item set name = 'seen' where id = 1")
    replica.sync()
    replica.assert_equal()


def test_a_source_set_back_to_an_earlier_state_is_never_followed(replica: Replica) -> None:
    with duckdb.connect(replica.warehouse) as warehouse:
        warehouse.execute("update ledger.position set lsn = lsn + 1_000_000_000")
    with pytest.raises(SlotError, match=r"log ends at .*, before the warehouse's .*dvd-rental resync"):
        replica.sync()


def test_changes_that_somebody_takes_during_a_load_are_no_silent_gap(replica: Replica) -> None:
    def take(what: str, done: int, total: int | None) -> None:
        del done, total
        if what == "Loading place":
            replica.execute(
                "update item set name = 'taken' where id = 1",
                f"select count(*) from pg_logical_slot_get_binary_changes('{replica.slot}', null, null,"
                " 'proto_version', '1', 'publication_names', 'everything')",
            )

    with pytest.raises(SlotError, match="read by someone else"):
        replica.sync(resync=["place"], progress=take)


def test_a_missing_table_is_named(replica: Replica) -> None:
    replica.streams = (*replica.streams, Stream("nowhere", ("id",)))
    with pytest.raises(PublicationError, match=r"public\.nowhere"):
        replica.sync()


def test_a_slot_of_another_plugin_is_refused(replica: Replica) -> None:
    replica.execute(
        f"select pg_drop_replication_slot('{replica.slot}')",
        f"select pg_create_physical_replication_slot('{replica.slot}')",
    )
    with pytest.raises(SlotError, match="pgoutput"):
        replica.sync()
    replica.execute(f"select pg_drop_replication_slot('{replica.slot}')")


def test_a_column_of_another_type_is_refused_with_table_column_and_remedy(replica: Replica) -> None:
    replica.execute("alter table item alter column price type text", "update item set price = 'x' where id = 1")
    with pytest.raises(StreamTableError, match=r"price of public\.item .* dvd-rental resync item"):
        replica.sync()


def test_a_column_with_one_of_our_names_is_refused(replica: Replica) -> None:
    replica.execute("alter table item add column _ab_cdc_lsn integer", "update item set name = 'x' where id = 1")
    with pytest.raises(StreamTableError, match="_ab_cdc_lsn"):
        replica.sync()


def test_a_server_that_does_not_answer_is_named_without_the_password(replica: Replica) -> None:
    replica.url = "postgresql://someone:secret-word@127.0.0.1:1/nowhere"
    with pytest.raises(SourceUnreachableError, match=r"127\.0\.0\.1:1") as raised:
        replica.sync()
    assert "secret-word" not in str(raised.value)


def test_a_warehouse_that_another_process_holds_is_waited_for_and_named(replica: Replica) -> None:
    with pytest.raises(WarehouseBusyError, match="Another process"), _held_elsewhere(replica.warehouse):
        replica.sync(DuckDBDestination(replica.warehouse, wait_seconds=0.3))


@contextmanager
def _held_elsewhere(path: Path) -> Iterator[None]:
    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.stdin.close()


def test_a_file_that_is_no_warehouse_is_refused(replica: Replica, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.duckdb"
    foreign.write_text("this is no database, and long enough to be looked at " * 100)
    with pytest.raises(WarehouseError, match="cannot be opened"):
        replica.sync(DuckDBDestination(foreign))


def test_verify_says_when_nothing_was_loaded(replica: Replica, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="dvd-rental sync"):
        verify(
            replica.url, DuckDBDestination(tmp_path / "empty.duckdb"), replica.streams,
            publication=PUBLICATION, slot=replica.slot,
        )  # fmt: skip


def test_verify_shows_the_keys_that_somebody_changed_by_hand(replica: Replica) -> None:
    with duckdb.connect(replica.warehouse) as connection:
        connection.execute("update raw.item set price = 0 where id = 3")
        connection.execute("delete from raw.item where id = 4")
    verification = verify(
        replica.url, DuckDBDestination(replica.warehouse), replica.streams, publication=PUBLICATION, slot=replica.slot
    )
    item = next(comparison for comparison in verification.comparisons if comparison.stream == "item")
    assert not verification.equal
    assert (item.source_rows, item.warehouse_rows, item.differing_keys) == (20, 19, ((3,), (4,)))


def test_verify_refuses_a_warehouse_that_another_sync_took_further(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync_twice(*place: Any, **options: Any) -> SyncReport:
        report = sync(*place, **options)
        replica.execute("update item set name = 'later' where id = 1")
        replica.sync()
        return report

    monkeypatch.setattr(verification, "sync", sync_twice)
    with pytest.raises(WarehouseBusyError, match="verify again"):
        replica.assert_equal()


def test_verify_compares_at_one_place_while_a_writer_goes_on(replica: Replica) -> None:
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(replica.url, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute("update item set price = price + 0.01 where id = 1")

    with ThreadPoolExecutor(1) as background:
        writing = background.submit(write)
        try:
            for _ in range(3):
                replica.assert_equal()
        finally:
            stop.set()
        writing.result()
