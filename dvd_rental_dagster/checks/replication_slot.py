"""The replication slot as an asset of the source, and four checks of its health; Airbyte has a slot a connection."""

from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetSpec,
    multi_asset_check,
)

from dvd_rental_dagster.assets.ingestion import WAREHOUSE_POOL
from dvd_rental_dagster.assets.keys import SLOT_KEY
from dvd_rental_dagster.errors import DvdRentalError
from dvd_rental_dagster.replication.findings import Finding, Severity, Subject
from dvd_rental_dagster.settings import load_settings
from dvd_rental_dagster.slot_health import slot_findings

_DESCRIPTIONS = {
    Subject.WAL_STATUS: "The slot is there, goes on where the warehouse ends, and is in no danger to be lost.",
    Subject.LAG: "What is not read yet lies within the limits, in bytes and in seconds.",
    Subject.RETAINED_WAL: "The log that the source keeps for the slot lies within its limit.",
    Subject.LONGEST_TRANSACTION: "No open transaction has held up the log for longer than its limit.",
}
_SEVERITIES = {Severity.WARN: AssetCheckSeverity.WARN, Severity.ERROR: AssetCheckSeverity.ERROR}
_AFTER_THE_STREAMS = {"dagster/priority": "-1"}
"""In a run with the streams the checks see what the sync left; they run, too, when the sync failed."""

replication_slot = AssetSpec(
    SLOT_KEY,
    group_name="source",
    description="The server's memory of what the warehouse has taken from its log, which it keeps from there on.",
    kinds={"postgres"},
    owners=["team:data-engineering"],
)


@multi_asset_check(
    name="slot_health",
    specs=[AssetCheckSpec(subject.value, asset=SLOT_KEY, description=_DESCRIPTIONS[subject]) for subject in Subject],
    op_tags=_AFTER_THE_STREAMS,
    pool=WAREHOUSE_POOL,
)
def slot_health() -> Iterator[AssetCheckResult]:
    """Look at the slots as they are now; each check tells of all of them."""
    try:
        findings = slot_findings(load_settings())
    except DvdRentalError as error:
        findings = tuple(_unread(subject, error) for subject in Subject)
    yield from (_result(finding) for finding in findings or map(_unloaded, Subject))


def _unread(subject: Subject, error: DvdRentalError) -> Finding:
    return Finding(subject, Severity.ERROR, str(error), {})


def _unloaded(subject: Subject) -> Finding:
    return Finding(subject, None, "Nothing was loaded through the slot yet.", {})


def _result(finding: Finding) -> AssetCheckResult:
    return AssetCheckResult(
        asset_key=SLOT_KEY,
        check_name=finding.subject.value,
        passed=finding.passed,
        severity=_SEVERITIES[finding.severity or Severity.ERROR],
        description=finding.message,
        metadata=finding.numbers,
    )
