from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from dvd_rental_dagster.errors import SourceError
from dvd_rental_dagster.source.generator import generate
from dvd_rental_dagster.source.traffic import live_traffic

KINDS = {"rent", "return", "pay", "correct payment", "delete rental", "new customer", "change price", "move"}


def test_every_kind_of_business_is_committed_and_counted(database: str) -> None:
    generate(database, scale=1, seed=1)
    before = _rows(database)
    counts = live_traffic(database, seed=1, transactions=400)
    after = _rows(database)

    assert set(counts) == KINDS
    assert min(counts.values()) > 0
    assert sum(counts.values()) == 400
    assert after["rental"] == before["rental"] + counts["rent"] - counts["delete rental"]
    assert after["customer"] == before["customer"] + counts["new customer"]
    assert after["address"] == before["address"] + counts["new customer"]
    assert before["payment"] < after["payment"] <= before["payment"] + counts["pay"]
    # A trigger dates the rows that were updated; the generated films and addresses are all of one date.
    updated = "select count(*) from {} where last_update <> '2023-12-01 09:30' and {}_id <= {}"
    assert 0 < _count(database, updated.format("film", "film", 1000)) <= counts["change price"]
    assert 0 < _count(database, updated.format("address", "address", 603)) <= counts["move"]


def test_the_same_seed_does_the_same_business(database: str) -> None:
    outcomes = []
    for _ in range(2):
        with psycopg.connect(database) as connection:
            connection.execute("drop schema public cascade; create schema public")
        generate(database, scale=1, seed=1)
        counts = live_traffic(database, seed=8, transactions=150)
        outcomes.append((counts, _state(database)))
    assert outcomes[0] == outcomes[1]


def test_business_goes_on_after_the_newest_date(database: str) -> None:
    generate(database, scale=1, seed=1)
    live_traffic(database, seed=1, transactions=50)
    new = "select count(*) from rental where rental_id > 16044"
    assert _count(database, new) > 0
    assert _count(database, f"{new} and rental_date between '2025-12-31 22:00' and '2026-01-02'") == _count(
        database, new
    )


def test_no_copy_is_out_twice_when_two_counters_rent_at_once(database: str) -> None:
    generate(database, scale=1, seed=1)
    with ThreadPoolExecutor() as counters:
        list(counters.map(lambda seed: live_traffic(database, seed=seed, transactions=200), (1, 2)))
    twice = "select inventory_id from rental where return_date is null group by inventory_id having count(*) > 1"
    assert _count(database, f"select count(*) from ({twice}) as copies") == 0


def test_business_is_done_on_the_real_database(restored: str) -> None:
    counts = live_traffic(restored, seed=1, transactions=400)
    assert min(counts.values()) > 0
    assert _count(restored, "select count(*) from rental") == 16044 + counts["rent"] - counts["delete rental"]


def test_an_empty_shop_says_that_nothing_can_be_rented(tables: str) -> None:
    with pytest.raises(SourceError, match="Nothing can be rented"):
        live_traffic(tables, seed=1, transactions=1)


def test_progress_is_told_of_each_transaction(database: str) -> None:
    generate(database, scale=1, seed=1)
    heard: list[tuple[str, int, int | None]] = []
    live_traffic(database, seed=1, transactions=3, rate=1_000, progress=lambda *told: heard.append(told))
    assert heard == [("transactions", number, 3) for number in (1, 2, 3)]


def _count(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        (count,) = connection.execute(query).fetchone() or (0,)
        return int(count)


def _rows(url: str) -> dict[str, int]:
    return {
        table: _count(url, f"select count(*) from {table}") for table in ("address", "customer", "payment", "rental")
    }


def _state(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            """
            select 'rental', rental_id, rental_date, inventory_id, customer_id, return_date, staff_id from rental
            union all
            select 'payment', payment_id, payment_date, rental_id, customer_id, null, (amount * 100)::integer
            from payment
            union all
            select 'address', address_id, null, city_id, postal_code::integer, null, null
            from address where postal_code <> ''
            order by 1, 2
            """
        ).fetchall()
