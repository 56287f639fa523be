"""Runs of the streams in this process, and what they left."""

from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetSelection,
    DagsterInstance,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from dagster._core.execution.execute_in_process_result import ExecuteInProcessResult
from pipeline import Pipeline
from told import places_of

from dvd_rental_dagster.automation.airbyte_sensor import airbyte_jobs


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
    """Where a secret of the pipeline stands, in what was said and in what the home holds."""
    return places_of(pipeline.all_secrets, pipeline.home.path, said)
