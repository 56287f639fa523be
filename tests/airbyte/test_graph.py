"""The whole graph on Airbyte, from the real database: each report answers what the source does, to the cent.

The embedded engine's reports are held to the same answers where the graph is tested.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from contract import Contract
from pipeline import Pipeline, open_pipeline
from reports import REPORTS, Rows, report_rows, source_rows
from runs import leaks
from told import assert_is_searched

pytestmark = [pytest.mark.dump, pytest.mark.xdist_group("airbyte graph")]

_CHANGES = (
    "update payment set amount = amount + 0.01 where payment_id % 50 = 0",
    "delete from payment where payment_id % 97 = 0",
    "delete from payment where rental_id % 89 = 0",
    "delete from rental where rental_id % 89 = 0",
    "update rental set return_date = null where rental_id % 101 = 0",
    "update film set rental_duration = rental_duration + 1 where film_id < 10",
)


@dataclass(frozen=True)
class Built:
    """The graph, run once; its reports, and what the source answered to the same questions then."""

    pipeline: Pipeline
    printed: str
    reports: dict[str, Rows]
    answers: dict[str, Rows]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, contract: Contract, dvdrental_dump: Path) -> Iterator[Built]:
    with open_pipeline(tmp_path_factory.mktemp("built"), contract, DVD_RENTAL_DUMP=str(dvdrental_dump)) as pipeline:
        yield Built(
            pipeline,
            "".join(pipeline.home.run_here()),
            {report: report_rows(pipeline.home.published, report) for report in REPORTS},
            {report: source_rows(pipeline.source_url, report) for report in REPORTS},
        )


@pytest.mark.parametrize("report", REPORTS)
def test_the_report_is_to_the_cent_what_the_source_answers(built: Built, report: str) -> None:
    assert built.reports[report] == built.answers[report]


def test_no_secret_is_told(built: Built) -> None:
    assert leaks(built.pipeline, built.printed) == []
    assert_is_searched(built.pipeline.home.path)


def test_the_rows_came_as_airbyte_writes_them(built: Built) -> None:
    with duckdb.connect(built.pipeline.home.published, read_only=True) as warehouse:
        found = dict(
            warehouse.execute(
                "select table_name || '.' || column_name, data_type from duckdb_columns() where schema_name = 'raw'"
            ).fetchall()
        )
    assert found["payment.amount"] == "DOUBLE"
    assert found["film.special_features"] == "JSON"
    assert found["film.release_year"] == "VARCHAR"
    assert found["rental._ab_cdc_updated_at"] == "VARCHAR"


def test_changes_arrive_in_the_reports_with_one_job_a_layer(built: Built) -> None:
    home, fake = built.pipeline.home, built.pipeline.fake
    jobs = len(fake.jobs)
    home.execute(*_CHANGES)
    home.run_here()
    assert len(fake.jobs) == jobs + 2
    for report in REPORTS:
        assert report_rows(home.published, report) == source_rows(built.pipeline.source_url, report), report
