"""From an empty folder to answered questions, with nothing but generated data."""

import duckdb
from home import Home
from reports import REPORTS, report_rows, source_rows

from dvd_rental_dagster.answers import QUESTIONS


def test_the_demo_answers_every_question_and_a_second_one_changes_nothing(empty_home: Home) -> None:
    answers = empty_home.cli("demo")
    for question in QUESTIONS:
        assert question.words in answers
    for report in REPORTS:
        assert report_rows(empty_home.published, report) == source_rows(empty_home.source_url, report), report
    written = empty_home.published.stat().st_mtime_ns, empty_home.warehouse.stat().st_mtime_ns

    again = empty_home.cli("demo")

    assert "Nothing changed at the source" in again
    assert (empty_home.published.stat().st_mtime_ns, empty_home.warehouse.stat().st_mtime_ns) == written


def test_a_query_is_answered_while_the_warehouse_is_being_written(empty_home: Home) -> None:
    empty_home.sync()
    with duckdb.connect(empty_home.warehouse):
        assert empty_home.query("select count(*) as n from raw.store") == [{"n": 2}]


def test_two_homes_never_touch_each_other(empty_home: Home) -> None:
    other = Home(empty_home.path.with_name("other"), {"DVD_RENTAL_SEED": "2"})
    try:
        empty_home.sync()
        other.sync()
        empty_home.execute("delete from payment where payment_id = (select max(payment_id) from payment)")
        assert empty_home.sync()["streams"]["payment"]["deleted"] == 1
        assert other.sync()["streams"] == {}
        assert empty_home.source_url != other.source_url
    finally:
        other.cli("reset", "--yes")
