"""Watches the source's log, and asks for a run of just the streams that changed and what lies below them.

Such a run comes every few seconds, so it leaves out the comparison with the source, which reads every row.
"""

import time
from typing import Any

from dagster import (
    AssetKey,
    AssetSelection,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph

from dvd_rental_dagster.assets.keys import history_key, raw_key
from dvd_rental_dagster.automation.jobs import everything
from dvd_rental_dagster.build_record import recorded_build
from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.checks.reconciliation import without_reconciliation
from dvd_rental_dagster.ingestion import await_pending
from dvd_rental_dagster.replication.lsn import format_lsn
from dvd_rental_dagster.settings import Settings, Warehouse, load_settings
from dvd_rental_dagster.source.endpoint import embedded_server

WATCH_SECONDS = 20.0
"""How long one evaluation waits; the daemon evaluates again five seconds after it began, or when it ends."""

_LOOK_SECONDS = 0.2

_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


@sensor(
    name="source_log",
    job=everything,
    minimum_interval_seconds=1,
    default_status=DefaultSensorStatus.RUNNING,
    description="Asks for a run when the log holds changes: at most one run an LSN, none while another goes on.",
)
def source_log(context: SensorEvaluationContext) -> RunRequest | SkipReason:
    """Wait for the run that goes on to end, then for a change; the cursor is the LSN that a run was last asked for."""
    settings = load_settings()
    if not _is_loaded(settings):
        return RunRequest(run_key="first load", tags={"dvd_rental/reason": "first load"})
    if settings.source_url is None and not embedded_server(settings).is_running():
        return SkipReason("The embedded source is down; dvd-rental up starts it.")
    until = time.monotonic() + WATCH_SECONDS
    if not _await_idleness(context.instance, until):
        return SkipReason("A run is going on; it takes what is pending when it starts.")
    waiting = await_pending(settings, max(until - time.monotonic(), 0))
    if not waiting.streams:
        return SkipReason("The log holds no change of a stream.")
    lsn = format_lsn(waiting.lsn)
    if context.cursor == lsn:
        return SkipReason(f"A run was asked for at {lsn}, and nothing came since. Its failure is in the list of runs.")
    context.update_cursor(lsn)
    selected = _below(context, waiting.streams)
    return RunRequest(
        run_key=lsn,
        asset_selection=selected,
        asset_check_keys=without_reconciliation(_graph(context).get_check_keys_for_assets(set(selected))),
        tags={"dvd_rental/lsn": lsn, "dvd_rental/streams": ",".join(waiting.streams)[:255]},
    )


def _is_loaded(settings: Settings) -> bool:
    """Whether a run has loaded; of an account the last build tells, so that no evaluation wakes its compute."""
    if settings.warehouse is Warehouse.SNOWFLAKE:
        return recorded_build(settings) is not None
    return settings.duckdb_path.exists()


def _await_idleness(instance: DagsterInstance, until: float) -> bool:
    """Whether no run goes on, now or by then; a run tells nobody that it ended but its record."""
    while instance.get_runs_count(RunsFilter(statuses=_UNFINISHED)):
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _below(context: SensorEvaluationContext, streams: tuple[str, ...]) -> list[AssetKey]:
    """The streams and everything that depends on them; one that is not in the graph moves with all those that are."""
    known = streams if set(streams) <= set(STREAM_NAMES) else STREAM_NAMES
    changed = AssetSelection.assets(*(key(name) for name in known for key in (raw_key, history_key)))
    return sorted(changed.downstream().resolve(_graph(context)))


def _graph(context: SensorEvaluationContext) -> BaseAssetGraph[Any]:
    repository = context.repository_def
    assert repository is not None  # noqa: S101  # the daemon always gives one
    return repository.asset_graph
