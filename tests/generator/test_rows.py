from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from psycopg import Connection, sql

from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.errors import SourceError
from dvd_rental_dagster.source.generator import Volume, generate

Digests = Callable[[str], dict[str, str]]

REAL_COUNTS = {
    "actor": 200,
    "address": 603,
    "category": 16,
    "city": 600,
    "country": 109,
    "customer": 599,
    "film": 1000,
    "film_actor": 5462,
    "film_category": 1000,
    "inventory": 4581,
    "language": 6,
    "payment": 14596,
    "rental": 16044,
    "staff": 2,
    "store": 2,
}

# Each a quirk of the real database: how many rows, and the question that counts them.
QUIRKS = {
    "addresses whose second line is null": (4, "select count(*) from address where address2 is null"),
    "addresses whose second line is empty": (599, "select count(*) from address where address2 = ''"),
    "addresses with an empty postal code": (4, "select count(*) from address where postal_code = ''"),
    "addresses with an empty phone": (2, "select count(*) from address where phone = ''"),
    "addresses with an empty district": (3, "select count(*) from address where district = ''"),
    "films without copies": (42, "select count(*) from film where film_id not in (select film_id from inventory)"),
    "films without actors": (3, "select count(*) from film where film_id not in (select film_id from film_actor)"),
    "copies never rented": (
        1,
        "select count(*) from inventory where inventory_id not in (select inventory_id from rental)",
    ),
    "names that two actors share": (
        1,
        "select count(*) from (select 1 from actor group by first_name, last_name having count(*) = 2) as shared",
    ),
    "names that two cities share": (
        1,
        "select count(*) from (select 1 from city group by city having count(*) = 2) as shared",
    ),
    "languages padded to twenty": (6, "select count(*) from language where octet_length(name) = 20"),
    "staff with a picture of eight bytes": (1, "select count(*) from staff where octet_length(picture) = 8"),
    "staff without a picture": (1, "select count(*) from staff where picture is null"),
    "open rentals": (183, "select count(*) from rental where return_date is null"),
    "payments of nothing": (24, "select count(*) from payment where amount = 0"),
    "rentals without a payment": (
        1452,
        "select count(*) from rental where rental_id not in (select rental_id from payment)",
    ),
    "rentals with five customers' payments": (
        1,
        "select count(*) from (select from payment group by rental_id having count(distinct customer_id) = 5) as x",
    ),
    "rentals that were paid for more than once": (
        1,
        "select count(*) from (select from payment group by rental_id having count(*) > 1) as shared",
    ),
    "customers that are not active": (15, "select count(*) from customer where active = 0"),
    "customers that activebool calls active": (599, "select count(*) from customer where activebool"),
    "films without words to search for": (0, "select count(*) from film where fulltext = ''"),
    "films without special features": (0, "select count(*) from film where cardinality(special_features) = 0"),
}

# Each a rule of the business, as the question that counts what breaks it.
VIOLATIONS = {
    "a copy is out twice at once": """
        with outings as (
            select
                inventory_id,
                rental_date,
                lag(coalesce(return_date, 'infinity')) over (partition by inventory_id order by rental_date) as back
            from rental
        )
        select count(*) from outings where back >= rental_date
    """,
    "a return comes before its rental": "select count(*) from rental where return_date <= rental_date",
    "a rental is outside of the two years": """
        select count(*) from rental
        where rental_date < '2024-01-01' or coalesce(return_date, rental_date) >= '2026-01-01'
    """,
    "a payment comes neither with the rental nor with the return, or after the two years": """
        select count(*) from payment join rental using (rental_id)
        where payment_date not between rental_date and rental_date + interval '10 minutes'
          and payment_date not between return_date and return_date + interval '10 minutes'
           or payment_date >= '2026-01-01'
    """,
    "a fee for being late is paid before the return": """
        select count(*)
        from payment
        join rental using (rental_id)
        join inventory using (inventory_id)
        join film using (film_id)
        where amount > rental_rate and payment_date < return_date
    """,
    "a customer rents before he has joined": """
        select count(*) from rental join customer using (customer_id) where rental_date < create_date
    """,
    "an amount is not the rate and a dollar for each day begun too late": """
        select count(*)
        from payment
        join rental using (rental_id)
        join inventory using (inventory_id)
        join film using (film_id)
        where amount <> 0
          and amount <> rental_rate + coalesce(
              greatest(0, ceil(extract(epoch from return_date - rental_date) / 86400) - rental_duration), 0
          )
    """,
    "an e-mail address could be somebody's": """
        select count(*) from (select email from customer union all select email from staff) as people
        where email not like '%.example.org'
    """,
    "rental ids do not follow the dates": """
        with ordered as (select rental_date, lag(rental_date) over (order by rental_id) as previous from rental)
        select count(*) from ordered where previous > rental_date
    """,
}


def test_scale_1_has_the_row_counts_of_the_real_database(generated: Connection[Any]) -> None:
    assert {name: _count(generated, name) for name in STREAM_NAMES} == REAL_COUNTS


@pytest.mark.parametrize("quirk", QUIRKS)
def test_a_quirk_of_the_real_database_is_there_as_often(generated: Connection[Any], quirk: str) -> None:
    expected, question = QUIRKS[quirk]
    assert generated.execute(question).fetchone() == (expected,)


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_no_row_breaks_the_rules_of_the_business(generated: Connection[Any], violation: str) -> None:
    assert generated.execute(VIOLATIONS[violation]).fetchone() == (0,)


def test_business_grows_from_year_to_year_and_is_best_on_saturdays_and_in_december(generated: Connection[Any]) -> None:
    first_year, second_year = _counts_by(generated, "extract(year from payment_date)")
    assert second_year > 1.1 * first_year
    by_weekday = _counts_by(generated, "extract(isodow from payment_date)")
    assert max(by_weekday) == by_weekday[5] > 1.3 * min(by_weekday)
    by_month = _counts_by(generated, "date_trunc('month', payment_date)")
    assert max(by_month[:12]) == by_month[11]
    assert max(by_month) == by_month[23]


def test_a_few_films_and_customers_make_most_of_the_business(generated: Connection[Any]) -> None:
    for key in ("film_id", "customer_id"):
        counts = sorted(_counts_by(generated, key, "rental join inventory using (inventory_id)"), reverse=True)
        assert sum(counts[: len(counts) // 5]) > 0.4 * sum(counts)


def test_between_an_eighth_and_a_third_of_the_rentals_come_back_late(generated: Connection[Any]) -> None:
    (share,) = generated.execute(
        """
        select avg((return_date - rental_date > rental_duration * interval '1 day')::integer)
        from rental join inventory using (inventory_id) join film using (film_id)
        where return_date is not null
        """
    ).fetchone() or (0,)
    assert 1 / 8 < share < 1 / 3


def test_the_next_rows_get_keys_that_are_free(generated: Connection[Any]) -> None:
    last_values = dict(generated.execute("select sequencename, last_value from pg_sequences").fetchall())
    assert last_values == {
        f"{name}_{name}_id_seq": count
        for name, count in REAL_COUNTS.items()
        if name not in {"film_actor", "film_category"}
    }


def test_the_same_seed_gives_the_same_rows_everywhere(generated_url: str, digests: Digests) -> None:
    whole = sha256("".join(digests(generated_url).values()).encode()).hexdigest()
    # From one machine, Python and NumPy; it changes only when the generator is meant to give other rows.
    assert whole == "b65f3fe25f90046891b9c9588f860ea02271b189f8d3f2b15fdcbd7e958841a6"


def test_another_seed_gives_other_rows(database: str, generated_url: str, digests: Digests) -> None:
    generate(database, scale=1, seed=2)
    same = {name for name, digest in digests(database).items() if digest == digests(generated_url)[name]}
    assert same == {"category", "country", "language", "store"}


def test_each_table_reports_its_rows_as_they_are_written(database: str) -> None:
    heard: dict[str, tuple[int, int | None]] = {}
    generate(database, scale=2, seed=1, progress=lambda what, done, total: heard.update({what: (done, total)}))
    assert heard.pop("keys and indexes") == (50, 50)
    assert heard == {name: (count, count) for name, count in Volume(2).rows.items()}


def test_a_database_that_is_not_empty_is_refused_and_stays(database: str, generated: Connection[Any]) -> None:
    with pytest.raises(SourceError, match=r"Database generated is not empty: it has public\.actor"):
        generate(database.replace(database.rsplit("/", 1)[1], "generated"), scale=1, seed=1)
    assert _count(generated, "rental") == REAL_COUNTS["rental"]


def _count(connection: Connection[Any], table: str) -> int:
    (count,) = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone() or (0,)
    return int(count)


def _counts_by(connection: Connection[Any], group: str, table: str = "payment") -> list[int]:
    """Counts by group, in the order of the groups."""
    return [count for _, count in connection.execute(f"select {group}, count(*) from {table} group by 1 order by 1")]
