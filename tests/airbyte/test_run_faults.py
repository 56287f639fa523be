"""Runs of the streams on a server that fails: a success without a second sync, or one clear error, and no secret told.

Scenarios 61 and 62.
"""

import logging
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from contract import Contract
from dagster import (
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from dagster._core.execution.execute_in_process_result import ExecuteInProcessResult
from fake import Answer, Fake, Silence
from pipeline import Pipeline, open_pipeline

from dvd_rental_dagster import errors
from dvd_rental_dagster.airbyte.jobs import Waiting
from dvd_rental_dagster.airbyte.watermark import read_watermark
from dvd_rental_dagster.automation.airbyte_sensor import airbyte_jobs
from dvd_rental_dagster.automation.execution import open_instance
from dvd_rental_dagster.replication.destinations.duckdb_file import open_for_writing
from dvd_rental_dagster.settings import Settings, load_settings

pytestmark = pytest.mark.xdist_group("airbyte faults")

Spoil = Callable[[Fake], None]
RAW_PAYMENT = AssetKey(["raw", "payment"])
RECONCILIATION = AssetCheckKey(RAW_PAYMENT, "reconciliation")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, contract: Contract) -> Iterator[Pipeline]:
    """One home and server; each test changes the source and runs the streams."""
    with open_pipeline(tmp_path_factory.mktemp("faults"), contract) as opened:
        yield opened


@pytest.fixture
def instance(pipeline: Pipeline) -> Iterator[DagsterInstance]:
    """Records in the home, where secrets are looked for."""
    with open_instance(Settings(_env_file=None, home=pipeline.home.path)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _environment(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (pipeline.home.settings | {"DVD_RENTAL_HOME": str(pipeline.home.path)}).items():
        monkeypatch.setenv(name, value)
    pipeline.fake.next_statuses = ["succeeded"]
    monkeypatch.setattr(pipeline.fake, "move", pipeline.fake.move)
    monkeypatch.setattr("dvd_rental_dagster.airbyte.loading.Waiting", partial(Waiting, first=0.01))


def run_streams(instance: DagsterInstance, *checks: AssetCheckKey) -> ExecuteInProcessResult:
    """Run the thirty assets of the streams and these checks, in this process."""
    from dvd_rental_dagster.definitions import defs  # noqa: PLC0415

    selected = AssetSelection.groups("raw", "history").resolve(defs.get_repository_def().asset_graph)
    job = defs.resolve_job_def("everything").get_subset(
        asset_selection=selected, asset_check_selection=frozenset(checks)
    )
    return job.execute_in_process(instance=instance, raise_on_error=False)


def job_ids(instance: DagsterInstance, key: AssetKey) -> list[int]:
    """The jobs that were recorded of an asset, the oldest first."""
    records = instance.fetch_materializations(key, limit=100).records[::-1]
    events = [record.asset_materialization for record in records]
    return [int(event.metadata["airbyte_job_id"].value) for event in events if event is not None]  # type: ignore[arg-type]


def tick(instance: DagsterInstance, cursor: str | None) -> str | None:
    """Evaluate the sensor and record what it tells, as the daemon does; the new cursor, None when it skipped."""
    with build_sensor_context(instance=instance, cursor=cursor) as context:
        outcome = airbyte_jobs(context)
    if isinstance(outcome, SkipReason):
        return None
    assert isinstance(outcome, SensorResult)
    for event in outcome.asset_events:
        instance.report_runless_asset_event(event)
    return outcome.cursor


def delete_a_payment(pipeline: Pipeline) -> None:
    pipeline.execute("delete from payment where payment_id = (select max(payment_id) from payment)")


def leaks(pipeline: Pipeline, said: str) -> list[str]:
    """Where a secret of the pipeline stands, among what was said and the files that the home holds."""
    server = pipeline.home.path / "postgres"  # where the password is kept
    files = [path for path in pipeline.home.path.rglob("*") if path.is_file() and not path.is_relative_to(server)]
    found = [str(path) for path in files if any(secret.encode() in path.read_bytes() for secret in pipeline.secrets)]
    return found + [said for secret in pipeline.secrets if secret in said]


def refuse_tokens(fake: Fake) -> None:
    fake.next_statuses = ["running", "succeeded"]
    fake.fail("GET", "/jobs/", Answer(401, {"errorId": str(uuid.uuid4())}))


def burst(fake: Fake) -> None:
    fake.next_statuses = ["running", "succeeded"]
    told = " ".join(source["configuration"]["password"] for source in fake.rows["sources"].values())
    fake.fail("GET", "/jobs/", Answer(500, {"message": f"cannot connect with {told}"}, checked=False), times=2)


def lose_the_answer(fake: Fake) -> None:
    fake.fail("POST", "/jobs", Silence(ends=True, after=True))


def unknown_status(fake: Fake) -> None:
    fake.next_statuses = ["running", "hibernating", "succeeded"]


def silence_the_counts(fake: Fake) -> None:
    fake.fail("POST", "/api/v1/jobs/get", Answer(500, "out of order", checked=False))


@pytest.mark.parametrize("spoil", [refuse_tokens, burst, lose_the_answer, unknown_status, silence_the_counts])
def test_a_run_bears_it_with_one_job_a_layer_and_no_secret_told(
    pipeline: Pipeline, instance: DagsterInstance, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], spoil: Spoil,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    delete_a_payment(pipeline)
    jobs = len(pipeline.fake.jobs)
    spoil(pipeline.fake)

    outcome = run_streams(instance)

    assert outcome.success
    assert len(pipeline.fake.jobs) == jobs + 2
    assert job_ids(instance, RAW_PAYMENT)[-1] == jobs + 1
    assert job_ids(instance, AssetKey(["history", "payment"]))[-1] == jobs + 2
    output = capfd.readouterr()
    assert leaks(pipeline, caplog.text + output.out + output.err) == []


def fail_the_job(fake: Fake) -> None:
    fake.next_statuses = ["running", "failed"]


def break_for_good(fake: Fake) -> None:
    fake.fail("GET", "/workspaces", Answer(404, {"message": "no such thing"}, checked=False))


def run_nothing(fake: Fake) -> None:
    fake.move, fake.next_counts = None, (0, 0)


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (fail_the_job, errors.JobFailedError),
        (break_for_good, errors.AirbyteNotFoundError),
        (run_nothing, errors.JobEmptyError),
    ],
)
def test_what_cannot_be_borne_is_one_clear_error(
    pipeline: Pipeline, instance: DagsterInstance, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], spoil: Spoil, kind: type[errors.AirbyteError],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    assert run_streams(instance).success
    delete_a_payment(pipeline)
    jobs = len(pipeline.fake.jobs)
    spoil(pipeline.fake)

    outcome = run_streams(instance)

    assert not outcome.success
    (failure,) = outcome.get_step_failure_events()
    assert failure.step_failure_data.error is not None
    assert failure.step_failure_data.error.cause is not None
    assert failure.step_failure_data.error.cause.cls_name == kind.__name__
    assert len(pipeline.fake.jobs) <= jobs + 1
    output = capfd.readouterr()
    assert leaks(pipeline, caplog.text + output.out + output.err) == []


def test_a_sync_that_was_started_elsewhere_is_recorded_once_and_a_run_s_own_is_not_recorded_again(
    pipeline: Pipeline, instance: DagsterInstance
) -> None:
    connection = pipeline.connection_id("dvd_rental")
    assert run_streams(instance).success
    own = job_ids(instance, RAW_PAYMENT)
    cursor = tick(instance, None)
    assert job_ids(instance, RAW_PAYMENT) == own

    delete_a_payment(pipeline)
    foreign = pipeline.fake.add_job(connection, ["running", "succeeded"])
    cursor = tick(instance, cursor)
    assert job_ids(instance, RAW_PAYMENT) == own

    pipeline.fake.finish(foreign)
    for seen in (
        cursor,
        tick(instance, cursor),
        cursor,
    ):  # the last as if the daemon had died before it kept the new one
        tick(instance, seen)
    assert job_ids(instance, RAW_PAYMENT) == [*own, foreign]
    assert foreign not in job_ids(instance, AssetKey(["raw", "film"]))
    recorded = instance.fetch_materializations(RAW_PAYMENT, limit=1).records[0].asset_materialization
    assert recorded is not None
    assert recorded.metadata["rows"].value == 1


def test_a_sync_that_failed_elsewhere_is_not_recorded(pipeline: Pipeline, instance: DagsterInstance) -> None:
    assert run_streams(instance).success
    own = job_ids(instance, RAW_PAYMENT)
    cursor = tick(instance, None)
    pipeline.fake.add_job(pipeline.connection_id("dvd_rental"), ["failed"])
    tick(instance, cursor)
    assert job_ids(instance, RAW_PAYMENT) == own


def test_while_a_run_goes_on_nothing_is_recorded(pipeline: Pipeline, instance: DagsterInstance) -> None:
    from dvd_rental_dagster.definitions import defs  # noqa: PLC0415

    job = defs.resolve_job_def("everything")
    run = instance.create_run_for_job(job, status=DagsterRunStatus.STARTED)
    delete_a_payment(pipeline)
    foreign = pipeline.fake.add_job(pipeline.connection_id("dvd_rental"), ["succeeded"])
    assert tick(instance, None) is None
    instance.report_run_failed(run)
    tick(instance, None)
    assert job_ids(instance, RAW_PAYMENT)[-1] == foreign


def test_a_sync_that_goes_on_already_is_joined_by_a_run(pipeline: Pipeline, instance: DagsterInstance) -> None:
    assert run_streams(instance).success
    delete_a_payment(pipeline)
    foreign = pipeline.fake.add_job(pipeline.connection_id("dvd_rental"), ["running", "succeeded"])
    assert run_streams(instance).success
    assert job_ids(instance, RAW_PAYMENT)[-1] == foreign


@pytest.mark.parametrize("cancel", [False, True])
def test_an_interrupted_run_cancels_its_job_only_when_told_to(
    pipeline: Pipeline, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, cancel: bool
) -> None:
    """dagster#7630, dagster#10680: a run that was ended left its job running; and not everybody wants it cancelled."""
    monkeypatch.setenv("DVD_RENTAL_AIRBYTE_CANCEL", str(cancel))
    assert run_streams(instance).success
    pipeline.fake.next_statuses = ["running"] * 1000
    signals = iter([signal.SIGINT])
    monkeypatch.setattr(pipeline.fake, "looked_at", lambda: [os.kill(os.getpid(), number) for number in signals])

    assert not run_streams(instance).success

    left = pipeline.fake.jobs[-1]["statuses"][0]
    pipeline.fake.jobs[-1]["statuses"] = ["cancelled"]
    assert left == ("cancelled" if cancel else "running")


def test_what_committed_while_a_sync_went_on_is_no_reason_to_doubt_the_next(
    pipeline: Pipeline, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airbyte decides late up to where it reads; what it read then is still in the slot, yet not left to move."""
    move = pipeline.fake.move
    assert move is not None
    with psycopg.connect(pipeline.source_url) as source, source.cursor() as cursor:

        def change_and_move(*job: Any) -> dict[str, tuple[int, int]]:
            delete_a_payment(pipeline)
            moved = move(*job)
            cursor.execute("select pg_current_wal_flush_lsn() - '0/0'")
            return moved

        monkeypatch.setattr(pipeline.fake, "move", change_and_move)
        assert run_streams(instance).success
        [(moved_up_to,)] = cursor.fetchall()
    noted = read_watermark(load_settings(), pipeline.connection_id("dvd_rental_history"))
    assert noted is not None
    assert noted.lsn >= moved_up_to


def test_the_sensor_tells_no_secret_that_the_server_repeats(
    pipeline: Pipeline, instance: DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = " ".join(pipeline.secrets)
    pipeline.fake.fail("GET", "/jobs", Answer(400, {"message": f"cannot connect with {told}"}, checked=False))
    with build_sensor_context(instance=instance) as context:
        outcome = airbyte_jobs(context)
    assert isinstance(outcome, SkipReason)
    assert "cannot connect" in str(outcome.skip_message)
    assert leaks(pipeline, f"{outcome.skip_message}{caplog.text}") == []


def test_a_row_that_did_not_arrive_turns_its_stream_red_by_name(pipeline: Pipeline, instance: DagsterInstance) -> None:
    """airbyte#29880: a sync that succeeded had lost rows."""
    assert run_streams(instance, RECONCILIATION).success
    with open_for_writing(pipeline.home.warehouse) as warehouse:
        warehouse.execute("create or replace table main.lost as select * from raw.payment order by payment_id limit 1")
        [(lost,)] = warehouse.execute("select payment_id from main.lost").fetchall()
        warehouse.execute("delete from raw.payment where payment_id = ?", [lost])

    outcome = run_streams(instance, RECONCILIATION)
    with open_for_writing(pipeline.home.warehouse) as warehouse:
        warehouse.execute("insert into raw.payment from main.lost")

    assert not outcome.success
    (evaluation,) = outcome.get_asset_check_evaluations()
    assert f"the first keys that differ are {lost}" in (evaluation.description or "")
    assert evaluation.severity is AssetCheckSeverity.ERROR


def test_a_row_that_changed_while_airbyte_was_at_work_stops_nothing(
    pipeline: Pipeline, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = pipeline.fake.move
    assert move is not None

    def move_and_change(*job: Any) -> dict[str, tuple[int, int]]:
        moved = move(*job)
        delete_a_payment(pipeline)
        return moved

    assert run_streams(instance).success
    monkeypatch.setattr(pipeline.fake, "move", move_and_change)

    outcome = run_streams(instance, RECONCILIATION)

    assert outcome.success
    (evaluation,) = outcome.get_asset_check_evaluations()
    assert evaluation.severity is AssetCheckSeverity.WARN
