"""The whole graph with the embedded engine and Snowflake's emulator, from the real database."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from emulation import SECRET, Emulator
from home import Home
from reports import REPORTS, Rows, report_rows, source_rows
from told import assert_is_searched, passwords, places_of

from dvd_rental_dagster.answers import QUESTIONS
from dvd_rental_dagster.snowflake.account import execute
from dvd_rental_dagster.snowflake.bootstrap import Layout, bootstrap

pytestmark = [
    pytest.mark.skipif(not os.environ.get("DVD_RENTAL_TEST_LONG"), reason="takes minutes: DVD_RENTAL_TEST_LONG=1"),
    pytest.mark.dump,
    pytest.mark.xdist_group("snowflake"),
]

CHANGES = (
    "update payment set amount = amount + 1 where payment_id % 50 = 0",
    "delete from payment where payment_id % 97 = 0",
    "update rental set return_date = null where rental_id % 101 = 0",
    "update film set rental_duration = rental_duration + 1 where film_id < 10",
)


@dataclass(frozen=True)
class Built:
    """The graph, run twice: each report, and what the source answered to the same question then."""

    home: Home
    emulator: Emulator
    printed: tuple[str, str]
    first: dict[str, tuple[Rows, Rows]]
    later: dict[str, tuple[Rows, Rows]]


@pytest.fixture(scope="module")
def built(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory, dvdrental_dump: Path) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("built")
    home = Home(folder / "home", emulator.settings | {"DVD_RENTAL_DUMP": str(dvdrental_dump)})
    with emulator.connection as connection:
        execute(connection, bootstrap(Layout("DVD_RENTALS", "DVD_RENTALS")))

    def go(exported: Path) -> tuple[str, dict[str, tuple[Rows, Rows]]]:
        ran = home.run("dvd-rental", "run")
        emulator.tell("export", exported)
        return ran.stdout + ran.stderr, {
            report: (report_rows(exported, report), source_rows(home.source_url, report)) for report in REPORTS
        }

    try:
        printed, first = go(folder / "first.duckdb")
        home.execute(*CHANGES)
        again, later = go(folder / "later.duckdb")
        yield Built(home, emulator, (printed, again), first, later)
    finally:
        home.cli("reset", "--yes")


@pytest.mark.parametrize("report", REPORTS)
def test_the_report_is_to_the_cent_what_the_source_answers(built: Built, report: str) -> None:
    found, expected = built.first[report]
    assert found == expected


@pytest.mark.parametrize("report", REPORTS)
def test_changes_and_deletes_arrive_in_the_report(built: Built, report: str) -> None:
    found, expected = built.later[report]
    assert found == expected


def test_no_secret_is_told(built: Built) -> None:
    assert places_of([SECRET, *passwords(built.home.path)], built.home.path, *built.printed) == []
    assert_is_searched(built.home.path)


def test_a_query_is_answered_by_snowflake_and_changes_nothing(built: Built) -> None:
    counted = built.home.query("select count(*) as payments from raw.payment")
    refused = built.home.run("dvd-rental", "query", "delete from raw.payment", expected=1)
    assert "it does not change the warehouse" in " ".join(refused.stderr.split())
    assert built.home.query("select count(*) as payments from raw.payment") == counted
    assert counted[0]["payments"] > 10000


def test_the_demo_asks_snowflake_what_the_reports_answer(built: Built) -> None:
    printed = built.home.cli("demo")
    assert "Nothing changed at the source since the reports were built." in printed
    assert all(question.words in printed for question in QUESTIONS)


def test_the_status_tells_the_account_and_what_was_loaded_and_built(built: Built) -> None:
    status = {row["part"]: row["state"] for row in json.loads(built.home.cli("status", "--format", "json"))}
    assert status["warehouse"] == "DVD_RENTALS of Snowflake's fakesnow"
    assert "by sync 4 at" in status["loaded"]  # a run's comparison brings the warehouse to where it compares
    assert status["built"] == "from sync 4"
