"""The real DVD Rental database, from its archive to the reports."""

import duckdb
import psycopg
import pytest
from home import Home
from reports import REPORTS, report_rows, source_rows

from dvd_rental_dagster.catalog import STREAMS

pytestmark = [pytest.mark.dump, pytest.mark.xdist_group("real dump")]

ROWS = {
    "actor": 200, "address": 603, "category": 16, "city": 600, "country": 109, "customer": 599, "film": 1000,
    "film_actor": 5462, "film_category": 1000, "inventory": 4581, "language": 6, "payment": 14596, "rental": 16044,
    "staff": 2, "store": 2,
}  # fmt: skip


def test_every_stream_has_as_many_rows_as_its_table(real_home: Home) -> None:
    with duckdb.connect(real_home.published, read_only=True) as warehouse:
        counted = {
            stream.name: warehouse.execute(f"select count(*) from raw.{stream.name}").fetchall()[0][0]
            for stream in STREAMS
        }
    assert counted == ROWS


def test_every_amount_is_exact_to_the_cent(real_home: Home) -> None:
    query = "select payment_id, amount from {} order by payment_id"
    with psycopg.connect(real_home.source_url) as source:
        paid = source.execute(query.format("payment")).fetchall()
    with duckdb.connect(real_home.published, read_only=True) as warehouse:
        assert warehouse.execute(query.format("raw.payment")).fetchall() == paid
        assert warehouse.execute(query.format("marts.fct_payment")).fetchall() == paid


@pytest.mark.parametrize("report", REPORTS)
def test_the_report_is_what_the_source_answers_to_the_same_question(real_home: Home, report: str) -> None:
    assert report_rows(real_home.published, report) == source_rows(real_home.source_url, report)


def test_every_report_is_asked_at_the_source_too(real_home: Home) -> None:
    with duckdb.connect(real_home.published, read_only=True) as warehouse:
        tables = warehouse.execute("select table_name from duckdb_tables() where schema_name = 'reports'").fetchall()
    assert sorted(name for (name,) in tables) == REPORTS


def test_source_and_warehouse_verify_as_equal(real_home: Home) -> None:
    assert "are equal" in real_home.cli("verify")
