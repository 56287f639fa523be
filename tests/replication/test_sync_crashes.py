"""A sync that dies at any moment, and is started again, ends where an uninterrupted one would."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Event

import duckdb
import pytest
from interruption import at, sync_interrupted, sync_killed
from outage import immediate, killed
from replica import PUBLICATION, Replica

from dvd_rental_dagster.errors import SlotError, SourceUnreachableError
from dvd_rental_dagster.replication import slot
from dvd_rental_dagster.replication.applier import Worker
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination
from dvd_rental_dagster.replication.failpoint import FailPoint
from dvd_rental_dagster.replication.stream import LogStream, open_stream
from dvd_rental_dagster.source.server import EmbeddedServer

ITEMS, CHANGES = 20, 5
APPLYING = (FailPoint.AFTER_READ, FailPoint.IN_APPLY, FailPoint.BEFORE_COMMIT)

# A DuckDB file is what readers see: nothing is published from it in a sync.
POINTS = [point for point in FailPoint if point is not FailPoint.IN_PUBLICATION]

points = pytest.mark.parametrize("point", POINTS, ids=lambda point: point.value)


def change(replica: Replica) -> None:
    replica.execute(
        "insert into item values (100, 'new', 1, null)",
        "update item set price = 2 where id = 100",
        "update item set id = 200 where id = 2",
        "delete from item where id = 3",
    )


def resync(point: FailPoint) -> list[str]:
    """What to load again so that the point is reached."""
    return ["item", "place"] if point is FailPoint.IN_SNAPSHOT else []


def versions(replica: Replica) -> list[tuple[object, ...]]:
    return replica.rows(
        "select id, name, price, _ab_cdc_lsn, _ab_cdc_deleted_at is not null from history.item order by all"
    )


def assert_goes_on(replica: Replica) -> None:
    """The next sync ends where an undisturbed one would, with every version written once."""
    replica.sync()
    replica.assert_equal()
    written = versions(replica)
    assert len(written) == len({version[:4] for version in written}) == ITEMS + CHANGES


@points
def test_a_sync_killed_there_and_started_again_writes_everything_once(replica: Replica, point: FailPoint) -> None:
    change(replica)
    assert sync_killed(replica, point, resync=resync(point))
    assert_goes_on(replica)


@points
@pytest.mark.parametrize("outage", [immediate, killed])
def test_a_server_that_goes_down_there_and_comes_back_is_followed_as_if_it_had_not(
    replica: Replica, restarted: EmbeddedServer, point: FailPoint, outage: Callable[[EmbeddedServer], None]
) -> None:
    change(replica)
    struck = Event()

    def strike() -> None:
        outage(restarted)
        struck.set()

    with at(point, strike), suppress(SourceUnreachableError, SlotError):
        replica.sync(resync=resync(point))
    assert struck.is_set()
    restarted.ensure_running()
    assert_goes_on(replica)


@pytest.mark.parametrize("calls", [1, 3])
def test_a_first_load_that_is_killed_starts_clean(make_replica: Callable[..., Replica], calls: int) -> None:
    replica = make_replica()
    replica.execute("insert into item values (1, 'a', 1, null)")
    assert sync_killed(replica, FailPoint.IN_SNAPSHOT, calls)
    assert replica.rows("select * from duckdb_tables()") == []
    replica.sync()
    replica.assert_equal()
    assert replica.versions("item", "id") == [(1, False)]


def test_acknowledgements_lost_for_a_whole_sync_have_no_effect(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(replica)
    with monkeypatch.context() as lost:
        lost.setattr(LogStream, "acknowledge", lambda *_: None)
        replica.sync()
    written = versions(replica)
    replica.execute("update item set name = 'more' where id = 4")
    replica.sync()
    replica.assert_equal()
    assert len(versions(replica)) == len(written) + 1


@pytest.mark.parametrize("point", APPLYING, ids=lambda point: point.value)
def test_an_apply_that_fails_again_and_again_leaves_what_was_there_until_it_succeeds(
    replica: Replica, point: FailPoint
) -> None:
    before = versions(replica)
    change(replica)
    for _ in range(3):
        assert sync_interrupted(replica, point)
        assert versions(replica) == before
    assert_goes_on(replica)


def test_what_comes_behind_a_failed_piece_of_work_fails_with_its_error() -> None:
    worker = Worker(lambda: None)
    try:
        worker.submit(Path("/nowhere/at/all").read_text)
        behind = worker.submit(str)
        with pytest.raises(FileNotFoundError):
            behind.result()
        with pytest.raises(FileNotFoundError):
            worker.drain()
    finally:
        worker.close()


def test_a_second_engine_on_the_slot_is_refused_and_the_first_goes_on(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "IN_USE_WAIT_SECONDS", 0.2)
    change(replica)
    applying, refused = Event(), Event()

    def hold() -> None:
        applying.set()
        assert refused.wait(60)

    other = Replica(replica.url, tmp_path / "other.duckdb", replica.streams)
    with at(FailPoint.IN_APPLY, hold), ThreadPoolExecutor(1) as pool:
        first = pool.submit(replica.sync)
        assert applying.wait(60)
        try:
            with pytest.raises(SlotError, match="in use by process"):
                other.sync()
        finally:
            refused.set()
        first.result()
    assert_goes_on(replica)


def test_an_engine_that_comes_to_the_slot_at_the_same_moment_is_refused(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Replica(replica.url, tmp_path / "other.duckdb", replica.streams)
    # It looked at the slot before the first engine came, and has a log to read.
    monkeypatch.setattr(import_module("dvd_rental_dagster.replication.sync"), "check_slot", lambda *_: None)
    with reading(replica) as stream, at(FailPoint.IN_SNAPSHOT, lambda: change(replica)):
        with pytest.raises(SlotError, match=r"does not start the log stream: .* is active"):
            other.sync()
        stream.finish()
    assert_goes_on(replica)


def test_a_slot_whose_reader_is_dying_is_waited_for(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    change(replica)
    seen_in_use = Event()
    read_slot = slot.read_slot

    def look(*arguments: object) -> slot.Slot | None:
        found = read_slot(*arguments)  # type: ignore[arg-type]
        if found is not None and found.active_pid is not None:
            seen_in_use.set()
        return found

    monkeypatch.setattr(slot, "read_slot", look)
    monkeypatch.setattr(slot, "IN_USE_WAIT_SECONDS", 60)
    with ThreadPoolExecutor(1) as pool:
        with reading(replica):
            syncing = pool.submit(assert_goes_on, replica)
            assert seen_in_use.wait(60)
        syncing.result()


@contextmanager
def reading(replica: Replica) -> Iterator[LogStream]:
    """The slot in use by somebody who reads from where the replica stands."""
    with DuckDBDestination(replica.warehouse) as destination:
        ledger = destination.read_ledger()
    assert ledger is not None
    with open_stream(replica.url, replica.slot, PUBLICATION, ledger.lsn) as stream:
        yield stream


@pytest.mark.parametrize("length", [0, 100, 4096, 12287])
def test_a_warehouse_whose_maker_died_over_its_headers_is_made_anew(
    make_replica: Callable[..., Replica], length: int
) -> None:
    replica = make_replica()
    duckdb.connect(replica.warehouse).close()
    os.truncate(replica.warehouse, length)
    replica.sync()
    replica.assert_equal()
