"""The whole graph on Airbyte and Snowflake's emulator, from the real database, held to what the source answers."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from contract import Contract
from emulation import Emulator
from loader import SnowflakeLoader
from pipeline import Pipeline, open_pipeline
from reports import REPORTS, Rows, report_rows, source_rows

from dvd_rental_dagster.snowflake.account import execute
from dvd_rental_dagster.snowflake.bootstrap import Layout, bootstrap

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
            printed = pipeline.home.cli("run")
            emulator.tell("export", exported)
            answers = {
                report: (report_rows(exported, report), source_rows(pipeline.source_url, report)) for report in REPORTS
            }
            return printed, answers

        printed, first = go(folder / "first.duckdb")
        pipeline.home.execute(*_CHANGES)
        again, later = go(folder / "later.duckdb")
        yield Built(pipeline, (printed, again), first, later)


@pytest.mark.parametrize("report", REPORTS)
def test_the_report_is_to_the_cent_what_the_source_answers(built: Built, report: str) -> None:
    found, expected = built.first[report]
    assert found == expected


@pytest.mark.parametrize("report", REPORTS)
def test_changes_and_deletes_arrive_in_the_report(built: Built, report: str) -> None:
    found, expected = built.later[report]
    assert found == expected


def test_every_check_is_passed_and_every_asset_is_made(built: Built) -> None:
    for printed in built.printed:
        assert " 0 failed" in printed
    assert "succeeded: " in built.printed[0]
