"""The sensor that watches the log: evaluated against a real source, with Dagster's own context."""

import json
from dataclasses import asdict

import psycopg
import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunRequest,
    RunsFilter,
    SkipReason,
    build_sensor_context,
)
from home import Home

from dvd_rental_dagster.build_record import Build
from dvd_rental_dagster.replication.lsn import parse_lsn

pytestmark = pytest.mark.xdist_group("loaded")


@pytest.fixture
def watched(loaded_home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A loaded home whose settings this process reads too."""
    monkeypatch.setenv("DVD_RENTAL_HOME", str(loaded_home.path))
    monkeypatch.setattr("dvd_rental_dagster.automation.log_sensor.WATCH_SECONDS", 0.0)
    return loaded_home


def evaluate(instance: DagsterInstance, cursor: str | None = None) -> tuple[RunRequest | SkipReason, str | None]:
    from dvd_rental_dagster.automation.log_sensor import source_log  # noqa: PLC0415
    from dvd_rental_dagster.definitions import defs  # noqa: PLC0415

    repository = defs.get_repository_def()
    with build_sensor_context(instance=instance, cursor=cursor, repository_def=repository) as context:
        outcome = source_log(context)
        assert isinstance(outcome, RunRequest | SkipReason)
        return outcome, context.cursor


def delete_a_payment(home: Home) -> None:
    home.execute("delete from payment where payment_id = (select max(payment_id) from payment)")


def test_it_asks_for_nothing_while_the_log_holds_no_change(watched: Home) -> None:
    del watched
    outcome, _ = evaluate(DagsterInstance.ephemeral())
    assert isinstance(outcome, SkipReason)


def test_it_asks_for_just_the_stream_that_changed_and_what_lies_below_it(watched: Home) -> None:
    delete_a_payment(watched)
    outcome, _ = evaluate(DagsterInstance.ephemeral())
    assert isinstance(outcome, RunRequest)
    assert outcome.asset_selection is not None
    selected = set(outcome.asset_selection)
    assert {AssetKey(["raw", "payment"]), AssetKey(["marts", "fct_payment"]), AssetKey(["published", "warehouse"])} <= (
        selected
    )
    assert {key.path[1] for key in selected if key.path[0] in {"raw", "history"}} == {"payment"}
    assert AssetKey(["marts", "dim_film"]) not in selected


def test_it_leaves_out_the_comparison_with_the_source_and_keeps_dbts_tests(watched: Home) -> None:
    delete_a_payment(watched)
    outcome, _ = evaluate(DagsterInstance.ephemeral())
    assert isinstance(outcome, RunRequest)
    assert outcome.asset_check_keys
    assert {key.asset_key.path[0] for key in outcome.asset_check_keys} == {"staging", "marts", "reports"}


def test_it_asks_at_most_once_an_lsn(watched: Home) -> None:
    delete_a_payment(watched)
    instance = DagsterInstance.ephemeral()
    first, cursor = evaluate(instance)
    second, _ = evaluate(instance, cursor)
    assert isinstance(first, RunRequest)
    assert isinstance(second, SkipReason)


def test_a_later_change_is_asked_for_at_a_later_lsn(watched: Home) -> None:
    instance = DagsterInstance.ephemeral()
    delete_a_payment(watched)
    first, cursor = evaluate(instance)
    delete_a_payment(watched)
    second, _ = evaluate(instance, cursor)
    assert isinstance(first, RunRequest)
    assert isinstance(second, RunRequest)
    assert first.run_key is not None
    assert second.run_key is not None
    assert parse_lsn(second.run_key) > parse_lsn(first.run_key)


def test_while_a_run_goes_on_it_asks_for_nothing(watched: Home) -> None:
    delete_a_payment(watched)
    instance = DagsterInstance.ephemeral()
    instance.add_run(DagsterRun(job_name="everything", status=DagsterRunStatus.STARTED))
    outcome, _ = evaluate(instance)
    assert isinstance(outcome, SkipReason)


def test_it_asks_as_soon_as_the_run_that_goes_on_has_ended(watched: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvd_rental_dagster.automation.log_sensor.WATCH_SECONDS", 60.0)
    delete_a_payment(watched)
    instance = DagsterInstance.ephemeral()
    run = instance.add_run(DagsterRun(job_name="everything", status=DagsterRunStatus.STARTED))
    looked = instance.get_runs_count

    def end_once_looked_at(filters: RunsFilter | None = None) -> int:
        count = looked(filters)
        if count:
            instance.report_run_failed(run)
        return count

    monkeypatch.setattr(instance, "get_runs_count", end_once_looked_at)
    outcome, _ = evaluate(instance)
    assert isinstance(outcome, RunRequest)


def test_on_snowflake_it_asks_for_the_first_load_until_something_was_built(
    watched: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = DagsterInstance.ephemeral()
    evaluate(instance)
    monkeypatch.setenv("DVD_RENTAL_WAREHOUSE", "snowflake")
    asked, _ = evaluate(instance)
    note = watched.path / "published" / "build.json"
    note.write_text(json.dumps(asdict(Build(1, "what it was built from", "snowflake"))))
    after, _ = evaluate(instance)

    assert isinstance(asked, RunRequest)
    assert asked.run_key == "first load"
    assert isinstance(after, SkipReason)


def test_unpublished_writes_ask_for_nothing(watched: Home) -> None:
    with psycopg.connect(watched.source_url) as source:
        source.execute("create table scratch (id integer)")
        source.execute("insert into scratch select * from generate_series(1, 100)")
    outcome, _ = evaluate(DagsterInstance.ephemeral())
    assert isinstance(outcome, SkipReason)


def test_a_source_that_is_down_is_a_reason_to_skip(watched: Home) -> None:
    watched.server.stop()
    outcome, _ = evaluate(DagsterInstance.ephemeral())
    assert isinstance(outcome, SkipReason)
    assert "dvd-rental up" in (outcome.skip_message or "")
