"""What a sync of Airbyte's brought: recorded once, whoever started it, and compared with the source."""

import logging
from typing import Any

import psycopg
import pytest
from dagster import (
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    SkipReason,
    build_sensor_context,
)
from fake import Answer
from pipeline import Pipeline
from runs import delete_a_payment, job_ids, leaks, run_streams, tick

from dvd_rental_dagster.airbyte.watermark import read_watermark
from dvd_rental_dagster.automation.airbyte_sensor import airbyte_jobs
from dvd_rental_dagster.replication.destinations.duckdb_file import open_for_writing
from dvd_rental_dagster.settings import load_settings

pytestmark = pytest.mark.xdist_group("airbyte faults")

RAW_PAYMENT = AssetKey(["raw", "payment"])
RECONCILIATION = AssetCheckKey(RAW_PAYMENT, "reconciliation")


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
