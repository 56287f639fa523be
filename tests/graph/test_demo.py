"""From an empty folder to answered questions, with nothing but generated data."""

import json

import duckdb
import pytest
from home import Demonstrated, Home
from reports import REPORTS, report_rows, source_rows

from dvd_rental_dagster.answers import QUESTIONS


@pytest.mark.xdist_group("built")
def test_the_demo_passes_every_check_answers_every_question_and_a_second_one_changes_nothing(
    demonstrated: Demonstrated, built_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = demonstrated.printed
    monkeypatch.setenv("DVD_RENTAL_HOME", str(built_home.path))
    from dvd_rental_dagster.definitions import defs  # noqa: PLC0415

    checks = len(defs.get_repository_def().asset_graph.asset_check_keys)
    assert f"{checks} checks passed, 0 failed" in answers
    assert "warn" not in built_home.cli("status")
    for question in QUESTIONS:
        assert question.words in answers
    for report in REPORTS:
        assert report_rows(built_home.published, report) == source_rows(built_home.source_url, report), report
    written = built_home.published.stat().st_mtime_ns, built_home.warehouse.stat().st_mtime_ns

    again = built_home.cli("demo")

    assert "Nothing changed at the source" in again
    assert (built_home.published.stat().st_mtime_ns, built_home.warehouse.stat().st_mtime_ns) == written


@pytest.mark.xdist_group("loaded")
def test_a_query_is_answered_while_the_warehouse_is_being_written(loaded_home: Home) -> None:
    with duckdb.connect(loaded_home.warehouse):
        answer = loaded_home.run("dvd-rental", "query", "select count(*) as n from raw.store", "--format", "json")
    assert json.loads(answer.stdout) == [{"n": 2}]


@pytest.mark.xdist_group("loaded")
def test_two_homes_never_touch_each_other(loaded_home: Home) -> None:
    other = Home(loaded_home.path.with_name("other"), {"DVD_RENTAL_SEED": "2"})
    try:
        other.sync()
        loaded_home.execute("delete from payment where payment_id = (select max(payment_id) from payment)")
        assert loaded_home.sync()["streams"]["payment"]["deleted"] == 1
        assert other.sync()["streams"] == {}
        assert loaded_home.source_url != other.source_url
    finally:
        other.remove()
