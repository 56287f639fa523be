"""Runs that fail, that are killed, and that Dagster's own commands start."""

import os
import re
from collections.abc import Iterator

import duckdb
import psycopg
import pytest
from home import Home
from reports import REPORTS, report_rows, source_rows

MOMENTS = (("run", "Loading the graph"), ("resync", "Loading payment"), ("run", "Building fct_payment"))
"""Commands, and what each says when it is killed."""
FURTHER = [("run", "Reading the log"), ("run", "Comparing film")]
LONG = bool(os.environ.get("DVD_RENTAL_TEST_LONG"))
ALONE = [(moment,) for moment in (*MOMENTS, *FURTHER)] if LONG else []
FIRST = [("Loading the graph", "Loading payment", "Building fct_payment")] if LONG else []


@pytest.fixture
def spoiled(built_home: Home) -> Iterator[Home]:
    """A built home with a payment at the source that no check lets pass; afterwards it is as good as the others."""
    built_home.execute(
        "alter table payment drop constraint if exists payment_amount_check",
        "update payment set amount = -1 where payment_id = (select min(payment_id) from payment)",
    )
    yield built_home
    built_home.execute("update payment set amount = 1 where amount < 0")


@pytest.mark.xdist_group("built")
def test_a_failed_check_stops_what_lies_below_and_readers_keep_what_they_had(spoiled: Home) -> None:
    revenue = "select sum(revenue) as revenue from reports.rpt_revenue_daily"
    before = spoiled.query(revenue)

    printed, said = spoiled.run_here(expected=1)

    assert "1 failed" in printed
    assert re.search(
        r"1 of \d+ dbt nodes failed; .*stg_payment_amount\S*: Got 1 result.* dbt's log:", " ".join(said.split())
    )
    assert re.search(r"\[ERROR\] .*stg_payment_amount", (spoiled.path / "logs" / "dbt" / "dbt.log").read_text())
    assert spoiled.query(revenue) == before
    with duckdb.connect(spoiled.warehouse, read_only=True) as warehouse:
        assert warehouse.execute("select count(*) from raw.payment where amount < 0").fetchall() == [(1,)]
        assert warehouse.execute("select count(*) from marts.fct_payment where amount < 0").fetchall() == [(0,)]


@pytest.mark.xdist_group("built")
@pytest.mark.parametrize("moments", [MOMENTS, *ALONE], ids=str)
def test_runs_killed_at_any_moment_and_started_again_end_with_raw_and_reports_equal_to_the_source(
    built_home: Home, moments: tuple[tuple[str, str], ...]
) -> None:
    for command, moment in moments:
        built_home.execute("delete from payment where payment_id = (select max(payment_id) from payment)")
        _run_and_kill(built_home, command, moment)

    built_home.run_here()

    assert "are equal" in built_home.cli("verify")
    for report in REPORTS:
        assert report_rows(built_home.published, report) == source_rows(built_home.source_url, report), report


@pytest.mark.xdist_group("first run")
@pytest.mark.parametrize("moments", FIRST, ids=str)
def test_first_runs_killed_and_started_again_end_with_raw_equal_to_the_source(
    empty_home: Home, moments: tuple[str, ...]
) -> None:
    for moment in moments:
        _run_and_kill(empty_home, "run", moment)

    empty_home.run("dvd-rental", "run")

    assert "are equal" in empty_home.cli("verify")


def _run_and_kill(home: Home, command: str, moment: str) -> None:
    with home.start("dvd-rental", command) as killed:
        assert killed.stderr is not None
        assert any(moment in said for said in killed.stderr)
        killed.kill()
        killed.communicate()


@pytest.mark.xdist_group("fresh checkout")
def test_dagster_materializes_everything_from_a_fresh_checkout(empty_home: Home) -> None:
    done = empty_home.run("dagster", "asset", "materialize", "--select", "*", "-m", "dvd_rental_dagster.definitions")
    assert "RUN_SUCCESS" in done.stderr
    assert "Asset check 'reconciliation' on 'raw/payment' passed" in done.stderr
    with duckdb.connect(empty_home.published, read_only=True) as warehouse:
        counted = warehouse.execute("select sum(payments) from reports.rpt_revenue_monthly").fetchall()
    with psycopg.connect(empty_home.source_url) as source:
        assert counted == source.execute("select count(*) from payment").fetchall()
