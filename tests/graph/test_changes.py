"""What happens at the source reaches the reports in one run, and stays in the history."""

import duckdb
import pytest
from home import Home
from reports import REPORTS, report_rows, source_rows

from dvd_rental_dagster.transformation.build import build

pytestmark = [pytest.mark.dump, pytest.mark.xdist_group("real dump")]


@pytest.fixture(scope="module")
def changed_home(real_home: Home) -> Home:
    """The real database, loaded, then changed in every way, then run once more."""
    real_home.execute(
        "insert into payment values (40001, 1, 1, 1300, 123.45, '2007-05-14 13:44:29')",
        "update payment set amount = amount + 1 where payment_id = 17503",
        "delete from payment where payment_id = 17504",
        "delete from payment where rental_id = 4591",
        "delete from rental where rental_id = 4591",
        "update rental set rental_id = 70001 where rental_id = 1301",
        "update rental set inventory_id = 5 where rental_id = 1300",
        "update film set rental_duration = rental_duration + 1 where film_id < 10",
        "truncate film_actor",
    )
    real_home.run_here()
    return real_home


@pytest.mark.parametrize("report", REPORTS)
def test_one_run_brings_every_change_to_the_report(changed_home: Home, report: str) -> None:
    assert report_rows(changed_home.published, report) == source_rows(changed_home.source_url, report)


def test_the_deleted_payment_is_gone_from_raw_and_marts(changed_home: Home) -> None:
    tables = ("raw.payment", "staging.stg_payment", "marts.fct_payment")
    found = " union all ".join(f"select payment_id from {table} where payment_id = 17504" for table in tables)
    assert changed_home.query(found) == []


def test_the_truncated_table_is_empty_and_its_rows_are_deletes_in_the_history(changed_home: Home) -> None:
    assert changed_home.query("select count(*) as n from raw.film_actor") == [{"n": 0}]
    deletes = "select count(*) as n from history.film_actor where _ab_cdc_deleted_at is not null"
    assert changed_home.query(deletes) == [{"n": 5462}]


def test_the_history_shows_each_step_of_a_row(changed_home: Home) -> None:
    steps = """
        select payment_id, amount, _ab_cdc_deleted_at is not null as deleted
        from history.payment where payment_id in (17503, 17504, 40001)
        order by payment_id, _ab_cdc_lsn
    """
    assert changed_home.query(steps) == [
        {"payment_id": 17503, "amount": 7.99, "deleted": False},
        {"payment_id": 17503, "amount": 8.99, "deleted": False},
        {"payment_id": 17504, "amount": 1.99, "deleted": False},
        {"payment_id": 17504, "amount": None, "deleted": True},
        {"payment_id": 40001, "amount": 123.45, "deleted": False},
    ]


def test_a_changed_key_is_a_delete_of_the_old_and_a_version_of_the_new(changed_home: Home) -> None:
    steps = """
        select rental_id, _ab_cdc_deleted_at is not null as deleted
        from history.rental where rental_id in (1301, 70001) order by _ab_cdc_lsn, deleted desc
    """
    assert changed_home.query(steps) == [
        {"rental_id": 1301, "deleted": False},
        {"rental_id": 1301, "deleted": True},
        {"rental_id": 70001, "deleted": False},
    ]


def test_a_run_without_changes_writes_no_row(changed_home: Home) -> None:
    def rows() -> list[tuple[str, int, str]]:
        with duckdb.connect(changed_home.warehouse, read_only=True) as warehouse:
            names = warehouse.execute(
                "select schema_name || '.' || table_name from duckdb_tables()"
                " where schema_name in ('raw', 'history') order by all"
            ).fetchall()
            return [
                (name, *warehouse.execute(f"select count(*), max(_airbyte_raw_id) from {name}").fetchall()[0])
                for (name,) in names
            ]

    before = rows()
    assert changed_home.sync()["streams"] == {}
    assert rows() == before


def test_incremental_facts_equal_a_full_refresh(changed_home: Home) -> None:
    facts = ("fct_payment", "fct_rental", "fct_inventory")

    def contents() -> dict[str, list[tuple[object, ...]]]:
        with duckdb.connect(changed_home.warehouse, read_only=True) as warehouse:
            return {fact: warehouse.execute(f"select * from marts.{fact} order by all").fetchall() for fact in facts}

    incremental = contents()
    with changed_home.chosen() as settings:
        built = build(settings, facts, full_refresh=True)
    assert {node.unique_id.rpartition(".")[2] for node in built if node.is_model and node.is_built} == set(facts)
    assert contents() == incremental
