"""Source and warehouse compared after a sync, as a check of every stream that stops what lies below.

The comparison reads every row on both sides, so runs that the log asks for leave it out. It runs inside the step that
syncs, because the warehouse has one writer and both sides have to stand at one place of the log.
"""

from collections.abc import Collection
from collections.abc import Set as AbstractSet

from dagster import AssetCheckKey, AssetCheckResult, AssetCheckSeverity, AssetCheckSpec, Failure

from dvd_rental_dagster.airbyte.arrival import Arrived
from dvd_rental_dagster.airbyte.comparison import compare_streams
from dvd_rental_dagster.assets.keys import raw_key
from dvd_rental_dagster.catalog import STREAMS, SyncMode
from dvd_rental_dagster.errors import SnapshotError
from dvd_rental_dagster.ingestion import verify_warehouse
from dvd_rental_dagster.progress import Progress
from dvd_rental_dagster.replication import SyncReport
from dvd_rental_dagster.replication.lsn import format_lsn
from dvd_rental_dagster.replication.verification import Comparison
from dvd_rental_dagster.settings import Settings

RECONCILIATION = "reconciliation"
_SINCE = "It differs from the source, where rows changed since Airbyte's sync began; the next run compares again."
_CLEAR = "clear it in Airbyte, and sync"
_COMPARED = {
    AssetCheckKey(raw_key(stream.name), RECONCILIATION): stream.name
    for stream in STREAMS
    if stream.mode is SyncMode.INCREMENTAL_DEDUPED_HISTORY
}

reconciliation_specs: list[AssetCheckSpec] = [
    AssetCheckSpec(
        key.name,
        asset=key.asset_key,
        blocking=True,
        description=f"Every row of {stream} is the same at the source and in the warehouse, at one place of the log.",
    )
    for key, stream in _COMPARED.items()
]
"""One check a stream that holds its source's rows; a stream that holds versions has none."""


def without_reconciliation(checks: Collection[AssetCheckKey]) -> list[AssetCheckKey]:
    """The checks whose cost does not grow with the data."""
    return sorted(key for key in checks if key not in _COMPARED)


def reconcile(
    settings: Settings, selected: AbstractSet[AssetCheckKey], report: SyncReport, progress: Progress
) -> list[AssetCheckResult]:
    """Compare the streams whose checks are selected, right after their sync.

    What the warehouse takes to get to the place of the comparison is counted into ``report``. A stream that cannot be
    compared now is a warning, which stops nothing: its rows arrived.

    Raises:
        DvdRentalError: whatever the source, the log or the warehouse has against it.
    """
    streams = {_COMPARED[key] for key in selected}
    if not streams:
        return []
    try:
        verification = verify_warehouse(settings, only=streams, progress=progress)
    except SnapshotError as error:
        return [_not_compared(stream, str(error)) for stream in sorted(streams)]
    report.add(verification.report)
    return [
        *(
            _compared(comparison, verification.lsn, f"dvd-rental resync {comparison.stream}")
            for comparison in verification.comparisons
        ),
        *(_not_compared(stream, obstacle) for stream, obstacle in verification.obstacles.items()),
    ]


def reconcile_arrived(
    settings: Settings,
    arrived: Arrived,
    selected: AbstractSet[AssetCheckKey],
    since: int | None,
    progress: Progress,
) -> list[AssetCheckResult]:
    """Compare the streams whose checks are selected, right after Airbyte's sync of ``raw``.

    A stream that differs and whose rows changed since the sync began is a warning, which stops nothing.

    Raises:
        DvdRentalError: whatever the source or the warehouse has against it.
    """
    streams = {_COMPARED[key] for key in selected}
    if not streams:
        return []
    try:
        found = compare_streams(settings, arrived, only=streams, since=since, progress=progress)
    except SnapshotError as error:
        return [_not_compared(stream, str(error)) for stream in sorted(streams)]
    return [
        *(
            _not_compared(comparison.stream, _SINCE)
            if not comparison.equal and comparison.stream in found.changed
            else _compared(comparison, found.lsn, _CLEAR)
            for comparison in found.streams
        ),
        *(_not_compared(stream, obstacle) for stream, obstacle in found.obstacles.items()),
    ]


def failure(results: Collection[AssetCheckResult]) -> Failure | None:
    """What ends the step when streams differ, with all that is known in one message."""
    differing = [
        f"{result.asset_key.to_user_string()}: {result.description}"
        for result in results
        if result.asset_key and not result.passed and result.severity is AssetCheckSeverity.ERROR
    ]
    if not differing:
        return None
    return Failure(
        f"{len(differing)} streams differ from the source; what lies below was not built. " + " ".join(differing),
        allow_retries=False,
    )


def _compared(comparison: Comparison, lsn: int, remedy: str) -> AssetCheckResult:
    numbers = {"source_rows": comparison.source_rows, "warehouse_rows": comparison.warehouse_rows}
    keys = "; ".join(comparison.key_texts)
    return AssetCheckResult(
        asset_key=raw_key(comparison.stream),
        check_name=RECONCILIATION,
        passed=comparison.equal,
        description=None if comparison.equal else _difference(comparison, keys, remedy),
        metadata={**numbers, "lsn": format_lsn(lsn), **({"differing_keys": keys} if keys else {})},
    )


def _difference(comparison: Comparison, keys: str, remedy: str) -> str:
    return (
        f"The source has {comparison.source_rows} rows and the warehouse {comparison.warehouse_rows}; the first keys "
        f"that differ are {keys}. Load the stream again: {remedy}."
    )


def _not_compared(stream: str, why: str) -> AssetCheckResult:
    return AssetCheckResult(
        asset_key=raw_key(stream),
        check_name=RECONCILIATION,
        passed=False,
        severity=AssetCheckSeverity.WARN,
        description=f"Not compared. {why}",
    )
