"""From an empty folder to answered questions, with nothing but generated data."""

import duckdb
import pytest
from home import Home
from reports import REPORTS, report_rows, source_rows

from dvd_rental_dagster.answers import QUESTIONS


def test_the_demo_passes_every_check_answers_every_question_and_a_second_one_changes_nothing(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = empty_home.cli("demo")
    monkeypatch.setenv("DVD_RENTAL_HOME", str(empty_home.path))
    from dvd_rental_dagster.definitions import defs  # noqa: PLC0415

    checks = len(defs.get_repository_def().asset_graph.asset_check_keys)
    assert f"{checks} checks passed, 0 failed" in answers
    assert "warn" not in empty_home.cli("status")
    for question in QUESTIONS:
        assert question.words in answers
    for report in REPORTS:
        assert report_rows(empty_home.published, report) == source_rows(empty_home.source_url, report), report
    written = empty_home.published.stat().st_mtime_ns, empty_home.warehouse.stat().st_mtime_ns

    again = empty_home.cli("demo")

    assert "Nothing changed at the source" in again
    assert (empty_home.published.stat().st_mtime_ns, empty_home.warehouse.stat().st_mtime_ns) == written


def test_a_query_is_answered_while_the_warehouse_is_being_written(loaded_home: Home) -> None:
    with duckdb.connect(loaded_home.warehouse):
        assert loaded_home.query("select count(*) as n from raw.store") == [{"n": 2}]


def test_two_homes_never_touch_each_other(loaded_home: Home) -> None:
    other = Home(loaded_home.path.with_name("other"), {"DVD_RENTAL_SEED": "2"})
    try:
        other.sync()
        loaded_home.execute("delete from payment where payment_id = (select max(payment_id) from payment)")
        assert loaded_home.sync()["streams"]["payment"]["deleted"] == 1
        assert other.sync()["streams"] == {}
        assert loaded_home.source_url != other.source_url
    finally:
        other.cli("reset", "--yes")
