"""The whole graph on Airbyte: the same reports, to the cent, as the embedded engine's."""

from collections.abc import Iterator

import duckdb
import pytest
from contract import Contract
from home import Home
from pipeline import Pipeline, open_pipeline
from reports import REPORTS, report_rows, source_rows

pytestmark = pytest.mark.xdist_group("airbyte graph")

_CHANGES = (
    "update payment set amount = amount + 0.01 where payment_id % 50 = 0",
    "delete from payment where payment_id % 97 = 0",
    "delete from payment where rental_id % 89 = 0",
    "delete from rental where rental_id % 89 = 0",
    "update rental set return_date = null where rental_id % 101 = 0",
    "update film set rental_duration = rental_duration + 1 where film_id < 10",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, contract: Contract) -> Iterator[Pipeline]:
    """The graph, run once."""
    with open_pipeline(tmp_path_factory.mktemp("built"), contract) as pipeline:
        pipeline.home.cli("run")
        yield pipeline


@pytest.fixture(scope="module")
def embedded(built: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The embedded engine's run on the same source, through a slot of its own."""
    home = Home(
        tmp_path_factory.mktemp("embedded") / "home",
        {
            "DVD_RENTAL_SOURCE_URL": built.home.source_url,
            "DVD_RENTAL_ROLE": "second",
            "DVD_RENTAL_ROLE_PASSWORD": "second",
            "DVD_RENTAL_PUBLICATION": "second_publication",
            "DVD_RENTAL_SLOT": "second_slot",
        },
    )
    try:
        home.cli("source", "prepare")
        home.cli("run")
        yield home
    finally:
        home.cli("reset", "--yes")


def test_reports_are_to_the_cent_those_of_the_embedded_engine(built: Pipeline, embedded: Home) -> None:
    for report in REPORTS:
        assert report_rows(built.home.published, report) == report_rows(embedded.published, report), report


def test_the_rows_came_as_airbyte_writes_them(built: Pipeline) -> None:
    with duckdb.connect(built.home.published, read_only=True) as warehouse:
        found = dict(
            warehouse.execute(
                "select table_name || '.' || column_name, data_type from duckdb_columns() where schema_name = 'raw'"
            ).fetchall()
        )
    assert found["payment.amount"] == "DOUBLE"
    assert found["film.special_features"] == "JSON"
    assert found["film.release_year"] == "VARCHAR"
    assert found["rental._ab_cdc_updated_at"] == "VARCHAR"


def test_changes_arrive_in_the_reports_with_one_job_a_layer(built: Pipeline, embedded: Home) -> None:
    del embedded  # what it is compared with is the source of before
    jobs = len(built.fake.jobs)
    built.home.execute(*_CHANGES)
    built.home.cli("run")
    assert len(built.fake.jobs) == jobs + 2
    for report in REPORTS:
        assert report_rows(built.home.published, report) == source_rows(built.home.source_url, report), report
