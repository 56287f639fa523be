"""Dagster's events in files that stay open: kept, heard of at once, and read by others."""

import threading
from collections.abc import Iterator

import pytest
from dagster import AssetKey, DagsterInstance, MaterializeResult, asset, materialize

from dvd_rental_dagster.automation.event_log import OpenEventLogStorage
from dvd_rental_dagster.automation.execution import open_instance
from dvd_rental_dagster.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@asset
def pebble() -> MaterializeResult[None]:
    return MaterializeResult()


@pytest.fixture
def instance(settings: Settings) -> Iterator[DagsterInstance]:
    with open_instance(settings) as opened:
        yield opened


def test_what_runs_tell_is_read_by_another_process_while_the_files_are_open(
    settings: Settings, instance: DagsterInstance
) -> None:
    runs = [materialize([pebble], instance=instance, run_config=QUIET).run_id for _ in range(10)]
    assert isinstance(instance.event_log_storage, OpenEventLogStorage)
    with open_instance(settings) as other:
        for run_id in runs:
            assert len(other.all_logs(run_id)) == len(instance.all_logs(run_id)) > 5
        found = other.fetch_materializations(AssetKey("pebble"), limit=100).records
    assert sorted(record.run_id for record in found) == sorted(runs)


def test_who_watches_a_run_hears_of_an_event_when_it_is_told(settings: Settings, instance: DagsterInstance) -> None:
    run_id = materialize([pebble], instance=instance, run_config=QUIET).run_id
    heard = threading.Event()
    with open_instance(settings) as watcher:
        last = watcher.event_log_storage.get_records_for_run(run_id).cursor
        watcher.watch_event_logs(run_id, last, lambda event, _: heard.set() if event.message == "late" else None)
        run = instance.get_run_by_id(run_id)
        assert run is not None
        instance.report_engine_event("late", run)
        assert heard.wait(30)


def test_events_that_were_wiped_are_gone_and_new_ones_are_kept(instance: DagsterInstance) -> None:
    run_id = materialize([pebble], instance=instance, run_config=QUIET).run_id
    instance.event_log_storage.wipe()
    assert instance.all_logs(run_id) == []
    later = materialize([pebble], instance=instance, run_config=QUIET).run_id
    assert instance.all_logs(later)
