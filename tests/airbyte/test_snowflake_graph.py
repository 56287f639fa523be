"""The whole graph on Airbyte and Snowflake's emulator, from the real database, held to what the source answers."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from contract import Contract
from emulation import Emulator
from loader import SnowflakeLoader
from pipeline import Pipeline, open_pipeline
from reports import REPORTS, Rows, report_rows, source_rows
from runs import leaks
from told import assert_is_searched

from dvd_rental_dagster.airbyte.comparison import compare_streams
from dvd_rental_dagster.airbyte.snowflake_arrival import ArrivedInSnowflake
from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.errors import WarehouseError
from dvd_rental_dagster.settings import load_settings
from dvd_rental_dagster.snowflake.account import execute
from dvd_rental_dagster.snowflake.bootstrap import Layout, bootstrap
from dvd_rental_dagster.snowflake.session import own_connections

pytestmark = [
    pytest.mark.skipif(not os.environ.get("DVD_RENTAL_TEST_LONG"), reason="takes minutes: DVD_RENTAL_TEST_LONG=1"),
    pytest.mark.dump,
    pytest.mark.xdist_group("snowflake"),
]

_CHANGES = (
    "update payment set amount = amount + 0.01 where payment_id % 50 = 0",
    "delete from payment where payment_id % 97 = 0",
    "update rental set return_date = null where rental_id % 101 = 0",
    "update film set rental_duration = rental_duration + 1 where film_id < 10",
)


@dataclass(frozen=True)
class Built:
    """The graph, run twice: each report, and what the source answered to the same question then."""

    pipeline: Pipeline
    emulator: Emulator
    printed: tuple[str, str]
    first: dict[str, tuple[Rows, Rows]]
    later: dict[str, tuple[Rows, Rows]]


@pytest.fixture(scope="module")
def built(
    emulator: Emulator, tmp_path_factory: pytest.TempPathFactory, contract: Contract, dvdrental_dump: Path
) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("built")
    with emulator.connection as connection:
        execute(connection, bootstrap(Layout("DVD_RENTALS", "DVD_RENTALS")))
    settings = emulator.settings | {"DVD_RENTAL_DUMP": str(dvdrental_dump)}
    with open_pipeline(folder, contract, SnowflakeLoader(folder, emulator), **settings) as pipeline:

        def go(exported: Path) -> tuple[str, dict[str, tuple[Rows, Rows]]]:
            ran = pipeline.home.run("dvd-rental", "run")
            emulator.tell("export", exported)
            answers = {
                report: (report_rows(exported, report), source_rows(pipeline.source_url, report)) for report in REPORTS
            }
            return ran.stdout + ran.stderr, answers

        printed, first = go(folder / "first.duckdb")
        pipeline.home.execute(*_CHANGES)
        again, later = go(folder / "later.duckdb")
        yield Built(pipeline, emulator, (printed, again), first, later)


@pytest.mark.parametrize("report", REPORTS)
def test_the_report_is_to_the_cent_what_the_source_answers(built: Built, report: str) -> None:
    found, expected = built.first[report]
    assert found == expected


@pytest.mark.parametrize("report", REPORTS)
def test_changes_and_deletes_arrive_in_the_report(built: Built, report: str) -> None:
    found, expected = built.later[report]
    assert found == expected


def test_every_model_is_built_and_every_check_passed_with_the_streams_and_slots_among_them(built: Built) -> None:
    manifest = json.loads((built.pipeline.home.path / "dbt" / "manifest.json").read_text())
    kinds = Counter(node["resource_type"] for node in manifest["nodes"].values())
    streams, slot_checks, published = len(STREAM_NAMES), 4, 1
    assets, checks = 2 * streams + kinds["model"] + published, streams + kinds["test"] + slot_checks
    assert f"{assets} assets, {checks} checks passed, 0 failed." in " ".join(built.printed[0].split())
    assert f"{checks} checks passed, 0 failed." in " ".join(built.printed[1].split())


def test_no_secret_is_told(built: Built) -> None:
    assert leaks(built.pipeline, " ".join(built.printed)) == []
    assert_is_searched(built.pipeline.home.path)


def test_a_row_or_a_table_that_did_not_arrive_is_named(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    home = built.pipeline.home
    for name, value in (home.settings | {"DVD_RENTAL_HOME": str(home.path)}).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    arrived = ArrivedInSnowflake(settings, own_connections(settings))

    def differing() -> dict[str, tuple[str, ...]]:
        found = compare_streams(settings, arrived, only=STREAM_NAMES, since=None)
        assert not found.obstacles
        assert len(found.streams) == len(STREAM_NAMES)
        return {each.stream: each.key_texts for each in found.streams if not each.equal}

    assert differing() == {}
    with built.emulator.connection as connection:
        execute(
            connection,
            (
                "delete from DVD_RENTALS.RAW.CITY where city_id = 7",
                "update DVD_RENTALS.RAW.RENTAL set return_date = dateadd(second, 1, return_date) where rental_id = 11",
            ),
        )
        assert differing() == {"city": ("7",), "rental": ("11",)}
        execute(connection, ("drop table DVD_RENTALS.RAW.CITY",))
    with pytest.raises(WarehouseError, match=r"database DVD_RENTALS has no raw\.city\. Let the destination"):
        arrived.columns("raw")
