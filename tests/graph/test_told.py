"""The search for secrets finds those that are there."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from dagster import AssetMaterialization, job
from told import places_of

from dvd_rental_dagster.automation.execution import open_instance
from dvd_rental_dagster.settings import Settings

SECRET = 'the "secret\'s" words, ünd more'


def in_a_log(settings: Settings, secret: str) -> None:
    (settings.home / "logs").mkdir()
    (settings.home / "logs" / "dbt.log").write_text(f"connecting with {secret}\n")


def in_json(settings: Settings, secret: str) -> None:
    (settings.home / "manifest.json").write_text(json.dumps({"password": secret}))


def in_an_address(settings: Settings, secret: str) -> None:
    (settings.home / "out").write_text(f"postgresql://me:{quote(secret)}@host/database")


def in_an_event(settings: Settings, secret: str) -> None:
    with open_instance(settings) as instance:
        instance.report_runless_asset_event(AssetMaterialization("streams", metadata={"said": secret}))


def in_the_snapshot_of_a_job(settings: Settings, secret: str) -> None:
    @job(metadata={"password": secret})
    def told() -> None: ...

    with open_instance(settings) as instance:
        assert told.execute_in_process(instance=instance).success


def in_a_table(settings: Settings, secret: str) -> None:
    with duckdb.connect(settings.duckdb_path) as warehouse:
        warehouse.execute("create table said as select i, repeat('x', i) || ? as words from range(5) as r(i)", [secret])


@pytest.mark.parametrize(
    ("plant", "place"),
    [
        (in_a_log, "logs/dbt.log"),
        (in_json, "manifest.json"),
        (in_an_address, "out"),
        (in_an_event, "dagster/history/runs/index.db: event_logs"),
        (in_the_snapshot_of_a_job, "dagster/history/runs.db: snapshots"),
        (in_a_table, "warehouse.duckdb: main.said"),
    ],
)
def test_a_secret_that_was_planted_is_found(
    settings: Settings, plant: Callable[[Settings, str], None], place: str
) -> None:
    settings.home.mkdir()
    plant(settings, SECRET)
    assert place in places_of([SECRET, "another"], settings.home)
    assert places_of(["another"], settings.home) == []


def test_a_secret_that_was_printed_is_found(tmp_path: Path) -> None:
    assert places_of([SECRET], tmp_path, "nothing", f"said {SECRET}") == ["printed"]
