"""A sync that dies at any moment, and is started again, ends where an uninterrupted one would."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from replica import PUBLICATION, Replica

from dvd_rental_dagster.errors import SlotError
from dvd_rental_dagster.replication.applier import Applier, Worker
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination
from dvd_rental_dagster.replication.stream import LogStream

_DIES = """
import importlib, os, signal, sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from replica import STREAMS
from replica import Replica

module = importlib.import_module({module!r})

def die(*arguments, **named):
    {before}
    os.kill(os.getpid(), signal.SIGKILL)

setattr({owner}, {method!r}, die)
Replica({url!r}, Path({warehouse!r}), STREAMS).sync()
"""
_HALF_A_MERGE = "arguments[0].insert('history', 'select * exclude (_airbyte_sequence) from staged')"
POINTS = {
    "before the batch is applied": ("applier", "module.Applier", "apply_batch", "pass"),
    "in the middle of the batch": ("destinations.duckdb_changes", "module", "_merge", _HALF_A_MERGE),
    "after the batch, before the commit": ("applier", "module.Applier", "commit", "pass"),
    "after the commit, before the acknowledgement": ("stream", "module.LogStream", "acknowledge", "pass"),
    "after the acknowledgement": ("stream", "module.LogStream", "finish", "pass"),
}


def die_at(replica: Replica, module: str, owner: str, method: str, before: str = "pass") -> None:
    code = _DIES.format(
        folder=str(Path(__file__).parent),
        module=f"dvd_rental_dagster.replication.{module}",
        owner=owner,
        method=method,
        before=before,
        url=replica.url,
        warehouse=str(replica.warehouse),
    )
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr


def change(replica: Replica) -> None:
    replica.execute(
        "insert into item values (100, 'new', 1, null)",
        "update item set price = 2 where id = 100",
        "update item set id = 200 where id = 2",
        "delete from item where id = 3",
    )


def versions(replica: Replica) -> list[tuple[object, ...]]:
    return replica.rows(
        "select id, name, price, _ab_cdc_lsn, _ab_cdc_deleted_at is not null from history.item order by all"
    )


@pytest.mark.parametrize("point", POINTS)
def test_a_sync_killed_there_and_started_again_writes_everything_once(replica: Replica, point: str) -> None:
    change(replica)
    die_at(replica, *POINTS[point])
    replica.sync()
    replica.assert_equal()
    assert len(versions(replica)) == 20 + 6 - 1
    assert len({version[:4] for version in versions(replica)}) == len(versions(replica))


def test_a_first_load_that_is_killed_starts_clean(make_replica: Callable[..., Replica]) -> None:
    replica = make_replica()
    replica.execute("insert into item values (1, 'a', 1, null)")
    die_at(replica, "destinations.duckdb_file", "module.DuckDBDestination", "commit")
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


def test_an_apply_that_fails_leaves_what_was_there_and_the_next_one_goes_on(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = versions(replica)
    change(replica)
    with monkeypatch.context() as failing:
        failing.setattr(Applier, "commit", lambda *_: (_ for _ in ()).throw(OSError("no space left on device")))
        with pytest.raises(OSError, match="no space left"):
            replica.sync()
    assert versions(replica) == before
    replica.sync()
    replica.assert_equal()


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


def test_a_second_engine_on_the_slot_is_refused(replica: Replica, tmp_path: Path) -> None:
    change(replica)
    with replica_reading(replica):
        other = Replica(replica.url, tmp_path / "other.duckdb", replica.streams)
        with pytest.raises(SlotError, match="in use by process"):
            other.sync()
    replica.sync()
    replica.assert_equal()


def replica_reading(replica: Replica):  # noqa: ANN201  # a context manager of a private type
    from dvd_rental_dagster.replication.stream import open_stream  # noqa: PLC0415

    with DuckDBDestination(replica.warehouse) as destination:
        ledger = destination.read_ledger()
    assert ledger is not None
    return open_stream(replica.url, replica.slot, PUBLICATION, ledger.lsn)
