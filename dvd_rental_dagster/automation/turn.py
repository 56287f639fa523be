"""The turn of a run that no queue holds back: it begins when no other goes on.

Two at once would be in each other's way: DuckDB's file has one writer, and on Snowflake both would build through the
same passing views.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from filelock import FileLock, Timeout

from dvd_rental_dagster.automation.run_launcher import PID_TAG
from dvd_rental_dagster.errors import RunBusyError
from dvd_rental_dagster.process import is_alive
from dvd_rental_dagster.progress import listener

_GOING_ON = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
"""A queued run is not waited for: the daemon, if there is one, holds it back for as long as another goes on."""

_LOOK_SECONDS = 0.2


@contextmanager
def own_turn(instance: DagsterInstance, folder: Path, wait_seconds: float) -> Iterator[None]:
    """Wait until no run goes on; the next one that asks waits until this block is left.

    Runs of processes that died are closed meanwhile. What is waited for is told to ``listener()``.

    Args:
        instance: Dagster's records.
        folder: where the file lies by which those who wait take turns.
        wait_seconds: how long to wait at most.

    Raises:
        RunBusyError: a run still goes on then.
    """
    lock, until = FileLock(folder / "run.lock"), time.monotonic() + wait_seconds
    while (other := _going_on(instance)) or not _taken(lock):
        name = f"run {other[:8]}" if other else "another dvd-rental run"
        if time.monotonic() >= until:
            raise RunBusyError(
                f"{name[0].upper()}{name[1:]} still goes on after {wait_seconds:.0f} s, and there is one at a time. "
                "Run again when it has ended, or end it in Dagster's UI: dvd-rental ui."
            )
        listener()(f"Waiting for {name} to end", 0, None)
        time.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _going_on(instance: DagsterInstance) -> str | None:
    close_orphans(instance)
    return next(iter(instance.get_run_ids(RunsFilter(statuses=_GOING_ON), limit=1)), None)


def _taken(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def close_orphans(instance: DagsterInstance) -> None:
    """Mark runs whose process is gone as failed, so that they do not stand as going on for ever."""
    for run in instance.get_runs(RunsFilter(statuses=[*_GOING_ON, DagsterRunStatus.NOT_STARTED])):
        pid = run.tags.get(PID_TAG)
        if pid is not None and not is_alive(int(pid)):
            instance.report_run_failed(run, f"The process {pid} that executed this run is gone.")
