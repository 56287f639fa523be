"""One run at a time, whoever starts it: what a run that no queue holds back waits for."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from dvd_rental_dagster.automation.execution import execute_everything, open_instance
from dvd_rental_dagster.automation.run_launcher import PID_TAG
from dvd_rental_dagster.automation.turn import own_turn
from dvd_rental_dagster.errors import RunBusyError
from dvd_rental_dagster.progress import listening
from dvd_rental_dagster.settings import Settings


@pytest.fixture
def instance(settings: Settings) -> Iterator[DagsterInstance]:
    settings.dagster_path.mkdir(parents=True)
    with DagsterInstance.ephemeral() as records:
        yield records


def begun(instance: DagsterInstance, status: DagsterRunStatus, pid: int | None = None) -> DagsterRun:
    tags = {} if pid is None else {PID_TAG: str(pid)}
    return instance.add_run(DagsterRun(job_name="everything", status=status, tags=tags))


@pytest.mark.parametrize(
    "status", [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING], ids=lambda s: s.value
)
def test_a_run_that_goes_on_is_waited_for_by_name(
    settings: Settings, instance: DagsterInstance, status: DagsterRunStatus
) -> None:
    other = begun(instance, status, os.getpid())
    told = []

    def end_it(what: str, done: int, total: int | None) -> None:
        del done, total
        told.append(what)
        instance.report_run_failed(other)

    with listening(end_it), own_turn(instance, settings.dagster_path, 60):
        assert told == [f"Waiting for run {other.run_id[:8]} to end"]


def test_a_run_that_is_killed_meanwhile_is_waited_for_no_longer(settings: Settings, instance: DagsterInstance) -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        other = begun(instance, DagsterRunStatus.STARTED, process.pid)

        def kill_it(what: str, done: int, total: int | None) -> None:
            del what, done, total
            process.kill()
            process.wait()

        with listening(kill_it), own_turn(instance, settings.dagster_path, 60):
            closed = instance.get_run_by_id(other.run_id)
    assert closed is not None
    assert closed.status is DagsterRunStatus.FAILURE


def test_a_run_that_does_not_end_is_named_with_what_to_do_and_nothing_is_begun(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvd_rental_dagster.automation.execution.load_job", lambda: None)
    with open_instance(settings) as records:
        other = begun(records, DagsterRunStatus.STARTED, os.getpid())
        with pytest.raises(RunBusyError, match=f"Run {other.run_id[:8]} still goes on after 0 s.*dvd-rental ui"):
            execute_everything(settings, wait_seconds=0)
        assert records.get_runs_count() == 1


def test_of_two_that_wait_the_second_waits_for_the_first(settings: Settings, instance: DagsterInstance) -> None:
    with (
        own_turn(instance, settings.dagster_path, 0),
        pytest.raises(RunBusyError, match="Another dvd-rental run"),
        own_turn(instance, settings.dagster_path, 0),
    ):
        pass
    with own_turn(instance, settings.dagster_path, 0):
        pass


def test_a_run_that_nobody_has_begun_is_not_waited_for(settings: Settings, instance: DagsterInstance) -> None:
    begun(instance, DagsterRunStatus.NOT_STARTED)
    with own_turn(instance, settings.dagster_path, 0):
        pass
