"""The checks beside dbt's: what they find, and what a red one stops."""

from dataclasses import dataclass

import duckdb
import psycopg
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
)
from home import Home

from dvd_rental_dagster.catalog import STREAM_NAMES

pytestmark = pytest.mark.xdist_group("loaded")

SLOT = AssetKey(["source", "replication_slot"])
SLOT_CHECKS = {AssetCheckKey(SLOT, name) for name in ("wal_status", "lag", "retained_wal", "longest_transaction")}
RECONCILIATIONS = {AssetCheckKey(AssetKey(["raw", name]), "reconciliation") for name in STREAM_NAMES}
PAYMENT = AssetCheckKey(AssetKey(["raw", "payment"]), "reconciliation")
WAL_STATUS = AssetCheckKey(SLOT, "wal_status")
RAW_AND_HISTORY = {AssetKey([group, name]) for name in STREAM_NAMES for group in ("raw", "history")}


@pytest.fixture
def loaded(loaded_home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A loaded home whose settings this process reads too."""
    monkeypatch.setenv("DVD_RENTAL_HOME", str(loaded_home.path))
    return loaded_home


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    success: bool
    checks: dict[AssetCheckKey, AssetCheckEvaluation]
    materialized: set[AssetKey]

    @property
    def red(self) -> set[AssetCheckKey]:
        return {key for key, evaluation in self.checks.items() if not evaluation.passed}


def run(assets: set[AssetKey] | None = None, checks: set[AssetCheckKey] | None = None) -> Outcome:
    """Run the job ``everything``, or those assets and checks of it, in this process."""
    from dvd_rental_dagster.definitions import defs  # noqa: PLC0415

    job = defs.get_repository_def().get_job("everything")
    if assets is not None:
        job = job.get_subset(asset_selection=frozenset(assets), asset_check_selection=frozenset(checks or ()))
    with DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        return Outcome(
            result.success,
            {evaluation.asset_check_key: evaluation for evaluation in result.get_asset_check_evaluations()},
            {event.asset_key for event in result.get_asset_materialization_events() if event.asset_key},
        )


def test_a_row_changed_by_hand_turns_its_stream_red_by_name_and_nothing_is_built_on_it(loaded: Home) -> None:
    with duckdb.connect(loaded.warehouse) as warehouse:
        [(changed,)] = warehouse.execute("select min(payment_id) from raw.payment").fetchall()
        warehouse.execute("update raw.payment set amount = amount + 1 where payment_id = ?", [changed])

    outcome = run()
    payment = outcome.checks[PAYMENT]

    assert not outcome.success
    assert outcome.red == {PAYMENT}
    assert set(outcome.checks) == RECONCILIATIONS | SLOT_CHECKS
    assert payment.severity is AssetCheckSeverity.ERROR
    assert payment.metadata["differing_keys"].value == str(changed)
    assert "dvd-rental resync payment" in (payment.description or "")
    assert outcome.materialized <= RAW_AND_HISTORY
    _, said = loaded.run_here(expected=1)
    assert f"differ are {changed}." in " ".join(said.split())


def test_the_comparison_is_made_only_where_it_is_selected(loaded: Home) -> None:
    with duckdb.connect(loaded.warehouse) as warehouse:
        warehouse.execute("delete from raw.film where film_id = 7")
    loaded.execute("delete from payment where payment_id = (select max(payment_id) from payment)")
    outcome = run(RAW_AND_HISTORY, {PAYMENT})
    with psycopg.connect(loaded.source_url) as source:
        counted = source.execute("select count(*) from payment").fetchall()
    numbers = outcome.checks[PAYMENT].metadata

    assert outcome.success
    assert set(outcome.checks) == {PAYMENT}
    assert outcome.materialized == {AssetKey(["raw", "payment"]), AssetKey(["history", "payment"])}
    assert [(numbers["source_rows"].value,)] == [(numbers["warehouse_rows"].value,)] == counted


def test_what_cannot_be_compared_now_is_a_warning_that_stops_nothing(loaded: Home) -> None:
    loaded.execute("alter table language add column spoken boolean")
    outcome = run(RAW_AND_HISTORY, RECONCILIATIONS)
    language = AssetCheckKey(AssetKey(["raw", "language"]), "reconciliation")

    assert outcome.success
    assert outcome.red == {language}
    assert outcome.checks[language].severity is AssetCheckSeverity.WARN
    assert "dvd-rental resync language" in (outcome.checks[language].description or "")


def test_rows_arrive_while_a_transaction_that_stays_open_prevents_the_comparison(
    loaded: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvd_rental_dagster.replication.slot.SNAPSHOT_WAIT_SECONDS", 1)
    loaded.execute("delete from payment where payment_id = (select max(payment_id) from payment)")
    with psycopg.connect(loaded.source_url) as holder:
        holder.execute("update language set name = name")
        holder_pid = holder.info.backend_pid
        outcome = run(RAW_AND_HISTORY, {PAYMENT})
        holder.rollback()

    assert outcome.success
    assert AssetKey(["raw", "payment"]) in outcome.materialized
    assert outcome.checks[PAYMENT].severity is AssetCheckSeverity.WARN
    assert str(holder_pid) in (outcome.checks[PAYMENT].description or "")


def test_a_dropped_slot_is_a_red_check_that_names_the_remedy(loaded: Home) -> None:
    loaded.execute("select pg_drop_replication_slot('airbyte_slot')")
    shown = " ".join(loaded.cli("status").split())
    looked = run(set(), SLOT_CHECKS)
    synced = run()

    assert "dvd-rental source prepare" in shown
    assert looked.success
    assert WAL_STATUS in looked.red
    assert looked.checks[WAL_STATUS].severity is AssetCheckSeverity.ERROR
    assert "dvd-rental source prepare" in (looked.checks[WAL_STATUS].description or "")
    assert not synced.success
    assert synced.red == {WAL_STATUS}
    assert "dvd-rental resync" in (synced.checks[WAL_STATUS].description or "")
    assert synced.materialized == set()


def test_a_source_that_is_down_is_a_red_check_and_no_traceback(loaded: Home) -> None:
    loaded.server.stop()
    outcome = run(set(), SLOT_CHECKS)
    assert outcome.success
    assert outcome.red == SLOT_CHECKS
    assert all("dvd-rental up" in (check.description or "") for check in outcome.checks.values())
