"""Runs forked from a process that has everything loaded, launched as the daemon launches them."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest
from dagster import AssetKey, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from home import Home

from dvd_rental_dagster.automation.execution import load_job, open_instance
from dvd_rental_dagster.automation.run_launcher import PID_TAG
from dvd_rental_dagster.settings import load_settings

pytestmark = pytest.mark.xdist_group("built")

STORE = frozenset({AssetKey(["raw", "store"]), AssetKey(["history", "store"])})
STORE_TO_PUBLISHED = STORE | {
    AssetKey(["staging", "stg_store"]), AssetKey(["marts", "dim_store"]), AssetKey(["reports", "rpt_sales_by_store"]),
    AssetKey(["published", "warehouse"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def instance(built_home: Home) -> Iterator[DagsterInstance]:
    """Dagster's records of a home whose source is up, read with the project's ``dagster.yaml``."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DVD_RENTAL_HOME", str(built_home.path))
        with open_instance(load_settings()) as opened:
            yield opened


def created(instance: DagsterInstance, status: DagsterRunStatus, assets: frozenset[AssetKey]) -> DagsterRun:
    job = load_job()
    origin = job.get_python_origin()
    location = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(python_file=__file__), location_name="dvd_rental"
    )  # a queued run has a place that it was loaded from; it is forked all the same
    return instance.create_run_for_job(
        job.get_definition(),
        job_code_origin=origin,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, "dvd_rental"), job.get_definition().name),
        status=status,
        asset_selection=assets,
    )


def launch(instance: DagsterInstance, assets: frozenset[AssetKey]) -> DagsterRun:
    """Launch a run of these assets; the run that comes back knows its process."""
    run = created(instance, DagsterRunStatus.STARTING, assets)
    instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    return reread(instance, run)


def reread(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def ended(instance: DagsterInstance, run: DagsterRun) -> DagsterRunStatus:
    """The status of the run when it has one that stays; a run tells it nowhere but in its record."""
    deadline = time.monotonic() + 300
    while not (now := reread(instance, run)).is_finished:
        assert time.monotonic() < deadline, now.status
        time.sleep(0.1)
    return now.status


def parent_of(run: DagsterRun) -> str:
    return Path(f"/proc/{run.tags[PID_TAG]}/stat").read_text().rpartition(")")[2].split()[1]


def test_runs_are_forked_from_one_process_and_build_the_graph(instance: DagsterInstance, built_home: Home) -> None:
    built_home.execute("update store set last_update = now() where store_id = 1")
    first = launch(instance, STORE_TO_PUBLISHED)
    parent = parent_of(first)
    assert ended(instance, first) is DagsterRunStatus.SUCCESS
    with psycopg.connect(built_home.source_url) as source:
        updated = source.execute("select store_id, last_update from store order by store_id").fetchall()
    with duckdb.connect(built_home.published, read_only=True) as published:
        query = "select store_id, updated_at from staging.stg_store order by store_id"
        assert published.execute(query).fetchall() == updated

    with duckdb.connect(built_home.warehouse):  # the run waits for it, so that it can be looked at
        second = launch(instance, STORE)
        assert parent_of(second) == parent
        assert parent != str(os.getpid())
    assert ended(instance, second) is DagsterRunStatus.SUCCESS


def test_a_run_that_is_alone_passes_the_queue_and_one_that_is_not_waits_in_it(
    instance: DagsterInstance, built_home: Home
) -> None:
    def submit(to: DagsterInstance) -> DagsterRun:
        run = created(to, DagsterRunStatus.NOT_STARTED, STORE)
        return to.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))

    def assert_queued(run: DagsterRun) -> None:
        assert run.status is DagsterRunStatus.QUEUED
        instance.run_coordinator.cancel_run(run.run_id)  # no daemon would launch it

    with open_instance(load_settings()) as cold:  # nothing is there yet to fork it from
        assert_queued(submit(cold))
    with duckdb.connect(built_home.warehouse):
        first = launch(instance, STORE)
        assert_queued(submit(instance))
    assert ended(instance, first) is DagsterRunStatus.SUCCESS
    assert ended(instance, submit(instance)) is DagsterRunStatus.SUCCESS


def test_a_run_can_be_interrupted_and_a_killed_one_is_noticed(instance: DagsterInstance, built_home: Home) -> None:
    with duckdb.connect(built_home.warehouse):
        interrupted = launch(instance, STORE)
        assert instance.run_launcher.check_run_worker_health(interrupted).status is WorkerStatus.RUNNING
        while reread(instance, interrupted).status is not DagsterRunStatus.STARTED:
            time.sleep(0.05)
        assert instance.run_launcher.terminate(interrupted.run_id)
        assert ended(instance, interrupted) is DagsterRunStatus.CANCELED
        assert not instance.run_launcher.terminate(interrupted.run_id)

        killed = launch(instance, STORE)
        os.kill(int(killed.tags[PID_TAG]), signal.SIGKILL)
        while instance.run_launcher.check_run_worker_health(killed).status is WorkerStatus.RUNNING:
            time.sleep(0.05)
    assert instance.run_launcher.check_run_worker_health(killed).status is WorkerStatus.FAILED
    assert not instance.run_launcher.terminate(killed.run_id)
    instance.report_run_failed(reread(instance, killed))  # as the daemon does
