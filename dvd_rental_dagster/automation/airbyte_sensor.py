"""Tells Dagster of the syncs that ran outside it: started in Airbyte's UI, or by its own schedule."""

import json

from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    DefaultSensorStatus,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from dvd_rental_dagster.airbyte.elsewhere import Arrival, arrivals_since
from dvd_rental_dagster.assets.airbyte import JOB_ID, LAYER_KEYS, job_metadata
from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.errors import AirbyteError, SourceError
from dvd_rental_dagster.settings import load_settings

_RECENT = 100
"""Materializations of an asset among which one of a job is looked for."""


@sensor(
    name="airbyte_jobs",
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Records the syncs that Airbyte ran without Dagster, each once.",
)
def airbyte_jobs(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """The cursor holds, for each layer, the last job that was looked at.

    The event log decides what is news. A job of a run is in the list before its events are in the log, so nothing is
    decided while a run goes on; the list is read before that is asked, so no run can come in between.
    """
    seen: dict[str, int] = json.loads(context.cursor or "{}")
    try:
        arrivals = arrivals_since(load_settings(), seen)
    except (AirbyteError, SourceError) as error:
        return SkipReason(str(error))
    if going_on := context.instance.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES), limit=1):
        return SkipReason(f"Run {going_on[0].run_id} is going on; what it reports itself is not told twice.")
    events = [event for arrival in arrivals for event in _events(context.instance, arrival)]
    last = {arrival.layer.value: arrival.job.job_id for arrival in arrivals}
    return SensorResult(asset_events=events, cursor=json.dumps(seen | last))


def _events(instance: DagsterInstance, arrival: Arrival) -> list[AssetMaterialization]:
    """What the job moved, by stream, without the streams of which a run, or an earlier look, has recorded it."""
    job_id, key_of, counts = arrival.job.job_id, LAYER_KEYS[arrival.layer], arrival.counts
    if counts is None:
        return []
    keys = {stream: key_of(stream) for stream in STREAM_NAMES if counts.moved(stream)}
    return [
        AssetMaterialization(key, metadata=job_metadata(job_id, counts, stream))
        for stream, key in keys.items()
        if not _is_recorded(instance, key, job_id)
    ]


def _is_recorded(instance: DagsterInstance, key: AssetKey, job_id: int) -> bool:
    records = instance.fetch_materializations(key, limit=_RECENT).records
    events = (record.asset_materialization for record in records)
    return any(event.metadata[JOB_ID].value == job_id for event in events if event and JOB_ID in event.metadata)
