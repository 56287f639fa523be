"""A sync that ends in the middle: by an exception, or by SIGKILL in a process of its own."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from replica import Replica

from dvd_rental_dagster.replication import log_reader
from dvd_rental_dagster.replication.applier import Applier
from dvd_rental_dagster.replication.destinations import duckdb_changes, duckdb_file
from dvd_rental_dagster.replication.stream import LogStream

POINTS: dict[str, tuple[Any, str]] = {
    "before a batch": (Applier, "apply_batch"),
    "before a truncate": (duckdb_file, "truncate"),
    "in the middle of a batch": (duckdb_changes, "_merge"),
    "before a commit": (Applier, "commit"),
    "before an acknowledgement": (LogStream, "acknowledge"),
    "before the end": (LogStream, "finish"),
}
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["numpy", "psycopg", "pyarrow.compute"])


class InterruptedSync(Exception):  # noqa: N818  # it is no error
    """What stops a sync on purpose."""


def sync_interrupted(replica: Replica, point: str, calls: int, batch_bytes: int) -> None:
    """Sync until the point was reached so many times, if it is, and raise there."""

    def stop() -> None:
        raise InterruptedSync

    with _stopping(point, calls, batch_bytes, stop), suppress(InterruptedSync):
        replica.sync()
    _wait_for_slot(replica)


def sync_killed(replica: Replica, point: str, calls: int, batch_bytes: int) -> None:
    """Sync in a process of its own that is killed where the point was reached so many times, if it is."""
    process = _PROCESSES.Process(target=_sync_and_die, args=(replica, point, calls, batch_bytes))
    process.start()
    process.join()
    assert process.exitcode in {0, -signal.SIGKILL}, f"the sync ended with {process.exitcode}"
    process.close()
    _wait_for_slot(replica)


def _wait_for_slot(replica: Replica) -> None:
    """Until the server has noticed that the reader is gone."""
    while replica.source(f"select 1 from pg_replication_slots where slot_name = '{replica.slot}' and active"):
        pass


def _sync_and_die(replica: Replica, point: str, calls: int, batch_bytes: int) -> None:
    with _stopping(point, calls, batch_bytes, lambda: os.kill(os.getpid(), signal.SIGKILL)):
        replica.sync()


@contextmanager
def _stopping(point: str, calls: int, batch_bytes: int, stop: Callable[[], None]) -> Iterator[None]:
    owner, name = POINTS[point]
    call = getattr(owner, name)
    left = calls

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            stop()
        return call(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, counted)
        patch.setattr(log_reader, "BATCH_BYTES", batch_bytes)
        yield
