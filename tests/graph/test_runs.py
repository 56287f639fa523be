"""Runs that fail, that are killed, and that Dagster's own commands start."""

import os
import re
import signal
import time

import duckdb
import psycopg
import pytest
from home import Home

SECONDS = (1.0, 3.5, 5.0, 7.0)
MOMENTS = [SECONDS, *((moment,) for moment in SECONDS)] if os.environ.get("DVD_RENTAL_TEST_LONG") else [SECONDS]
"""Kills of one home's runs, in seconds since the start of each."""


@pytest.mark.xdist_group("built")
def test_a_failed_check_stops_what_lies_below_and_readers_keep_what_they_had(built_home: Home) -> None:
    revenue = "select sum(revenue) as revenue from reports.rpt_revenue_daily"
    before = built_home.query(revenue)
    built_home.execute(
        "alter table payment drop constraint if exists payment_amount_check",
        "update payment set amount = -1 where payment_id = (select min(payment_id) from payment)",
    )

    failed = built_home.run("dvd-rental", "run", expected=1)

    assert "failed" in failed.stdout
    assert re.search(r"\[ERROR\] .*stg_payment_amount", (built_home.path / "logs" / "dbt" / "dbt.log").read_text())
    assert built_home.query(revenue) == before
    with duckdb.connect(built_home.warehouse, read_only=True) as warehouse:
        assert warehouse.execute("select count(*) from raw.payment where amount < 0").fetchall() == [(1,)]
        assert warehouse.execute("select count(*) from marts.fct_payment where amount < 0").fetchall() == [(0,)]


@pytest.mark.xdist_group("runs")
@pytest.mark.parametrize("moments", MOMENTS, ids=str)
def test_runs_killed_at_any_moment_and_started_again_end_with_raw_equal_to_the_source(
    empty_home: Home, moments: tuple[float, ...]
) -> None:
    empty_home.cli("up")
    for seconds in moments:
        run = empty_home.start("dvd-rental", "run")
        time.sleep(seconds)  # the moment is the point: there is no event to wait for
        run.send_signal(signal.SIGKILL)
        run.communicate()
        empty_home.execute("delete from payment where payment_id = (select max(payment_id) from payment)")

    empty_home.cli("run")

    assert "are equal" in empty_home.cli("verify")


@pytest.mark.xdist_group("runs")
def test_dagster_materializes_everything_from_a_fresh_checkout(empty_home: Home) -> None:
    done = empty_home.run("dagster", "asset", "materialize", "--select", "*", "-m", "dvd_rental_dagster.definitions")
    assert "RUN_SUCCESS" in done.stderr
    assert "Asset check 'reconciliation' on 'raw/payment' passed" in done.stderr
    with duckdb.connect(empty_home.published, read_only=True) as warehouse:
        counted = warehouse.execute("select sum(payments) from reports.rpt_revenue_monthly").fetchall()
    with psycopg.connect(empty_home.source_url) as source:
        assert counted == source.execute("select count(*) from payment").fetchall()
