"""A sync that ends at a failpoint: by an exception, or by SIGKILL in a process of its own."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from replica import Replica

from dvd_rental_dagster.replication import failpoint, log_reader
from dvd_rental_dagster.replication.failpoint import FailPoint

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["pytest", "dvd_rental_dagster.replication.destinations.duckdb_file", "replica"])


class InterruptedSync(Exception):  # noqa: N818  # it is no error
    """What stops a sync on purpose."""


def sync_interrupted(replica: Replica, point: FailPoint, calls: int = 1, **options: Any) -> bool:
    """Sync and raise where the point is reached for the given time; whether it was."""

    def stop() -> None:
        raise InterruptedSync

    try:
        with at(point, stop, calls):
            replica.sync(**options)
    except InterruptedSync:
        return True
    return False


def sync_killed(replica: Replica, point: FailPoint, calls: int = 1, **options: Any) -> bool:
    """Sync in a process of its own that is killed where the point is reached for the given time; whether it was."""
    process = _PROCESSES.Process(target=_sync_and_die, args=(replica, point, calls, log_reader.BATCH_BYTES, options))
    process.start()
    process.join()
    code = process.exitcode
    process.close()
    assert code in {0, -signal.SIGKILL}, f"the sync ended with {code}"
    return code != 0


def _sync_and_die(replica: Replica, point: FailPoint, calls: int, batch_bytes: int, options: dict[str, Any]) -> None:
    log_reader.BATCH_BYTES = batch_bytes
    with at(point, lambda: os.kill(os.getpid(), signal.SIGKILL), calls):
        replica.sync(**options)


@contextmanager
def at(point: FailPoint, act: Callable[[], object], calls: int = 1) -> Iterator[None]:
    """Act once, where the point is reached for the given time."""
    left = calls

    def count(reached: FailPoint) -> None:
        nonlocal left
        if reached is point:
            left -= 1
            if not left:
                act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failpoint, "on_reach", count)
        yield
