"""Airbyte's jobs as materializations of the streams."""

from collections.abc import Iterator

from dagster import AssetCheckResult, AssetExecutionContext, AssetMaterialization, MaterializeResult, Output

from dvd_rental_dagster.airbyte.answer import Job
from dvd_rental_dagster.airbyte.arrival import Arrived
from dvd_rental_dagster.airbyte.counts import Counts
from dvd_rental_dagster.airbyte.loading import Layer, load
from dvd_rental_dagster.airbyte.server import Server
from dvd_rental_dagster.assets.keys import history_key, raw_key
from dvd_rental_dagster.assets.nothing import nothing
from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.checks.reconciliation import failure, reconcile_arrived
from dvd_rental_dagster.progress import listener
from dvd_rental_dagster.settings import Settings

JOB_ID = "airbyte_job_id"
"""Metadata of a materialization: Airbyte's number of the job that moved the rows."""

LAYER_KEYS = {Layer.RAW: raw_key, Layer.HISTORY: history_key}


def arrivals(
    context: AssetExecutionContext, settings: Settings, server: Server, arrived: Arrived
) -> Iterator[MaterializeResult[None] | Output[None] | AssetMaterialization | AssetCheckResult]:
    """Sync each layer of which an asset or a check is selected, and compare with the source where selected.

    A connection moves all its streams; one outside the selection that moved is reported too. History comes after raw:
    a version that raw does not show yet is then younger than every row of raw, and the next run finds it.
    """
    selected, checks = context.selected_asset_keys, context.selected_asset_check_keys

    def heard(job: Job) -> None:
        context.log.info(f"Job {job.job_id} of Airbyte is {job.status}.")

    results: list[AssetCheckResult] = []
    for layer, key_of in LAYER_KEYS.items():
        keys = {stream: key_of(stream) for stream in STREAM_NAMES}
        if not selected & set(keys.values()) and not (layer is Layer.RAW and checks):
            continue
        loaded = load(settings, server, layer, arrived, heard, listener())
        context.log.info(f"Job {loaded.sync.job_id} of Airbyte moved {loaded.sync.rows} rows into {layer}.")
        for stream, key in keys.items():
            if loaded.counts.moved(stream):
                metadata = job_metadata(loaded.sync.job_id, loaded.counts, stream)
                yield (
                    MaterializeResult(asset_key=key, metadata=metadata)
                    if key in selected
                    else AssetMaterialization(key, metadata=metadata)
                )
            elif key in selected:
                yield nothing(key)
        if layer is Layer.RAW:
            results = reconcile_arrived(settings, arrived, checks, loaded.lsn, listener())
            yield from results
    if differing := failure(results):
        raise differing


def job_metadata(job_id: int, counts: Counts, stream: str) -> dict[str, int]:
    """What a job moved of one stream, as far as Airbyte tells."""
    count = counts.of(stream)
    return {JOB_ID: job_id} if count is None else {JOB_ID: job_id, "rows": count.rows, "bytes": count.bytes}
