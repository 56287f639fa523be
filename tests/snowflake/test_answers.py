"""Where the demo asks its questions: in the schema that dbt has built the reports in."""

import pytest
import sqlglot
from sqlglot import exp

from dvd_rental_dagster.answers import QUESTIONS, print_answers
from dvd_rental_dagster.reading import Answer
from dvd_rental_dagster.settings import Settings, Warehouse


@pytest.mark.parametrize(
    ("warehouse", "schema", "asked"),
    [
        (Warehouse.SNOWFLAKE, "PUBLIC", "reports"),
        (Warehouse.SNOWFLAKE, "REPORTS", "reports"),
        (Warehouse.SNOWFLAKE, "ADA", "ADA_reports"),
        (Warehouse.DUCKDB, "ADA", "reports"),
    ],
)
def test_every_question_is_asked_where_the_reports_are_built(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse, schema: str, asked: str
) -> None:
    queries: list[str] = []

    def answer(_: Settings, query: str) -> Answer:
        queries.append(query)
        return Answer(("answer",), ())

    monkeypatch.setattr("dvd_rental_dagster.answers.read", answer)
    print_answers(settings.model_copy(update={"warehouse": warehouse, "snowflake_schema": schema}))
    assert len(queries) == len(QUESTIONS)
    for query in queries:
        tables = sqlglot.parse_one(query, dialect="snowflake").find_all(exp.Table)
        assert {table.db for table in tables} == {asked}
