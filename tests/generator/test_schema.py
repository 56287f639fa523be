"""The generated schema against the real one, by PostgreSQL's own catalogs."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from dvd_rental_dagster.source.generator import schema

# Each a part of a schema that must be the same, as the question that lists it.
PARTS = {
    "columns, in order, with their types, nullability and defaults": """
        select
            relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
            pg_get_expr(adbin, adrelid)
        from pg_attribute
        join pg_class on pg_class.oid = attrelid
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') and attnum > 0 and not attisdropped
    """,
    "primary keys and foreign keys": """
        select conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid), condeferrable
        from pg_constraint
        where connamespace = 'public'::regnamespace and contype in ('p', 'f', 'u', 'c')
    """,
    "indexes": "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'",
    "sequences": """
        select sequencename, data_type::text, start_value, min_value, max_value, increment_by, cycle, cache_size
        from pg_sequences
        where schemaname = 'public'
    """,
    "triggers": """
        select tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)
        from pg_trigger
        where not tgisinternal
    """,
    "views": "select viewname from pg_views where schemaname = 'public'",
    "functions and aggregates": """
        select
            proname, prokind, pg_get_function_arguments(pg_proc.oid), pg_get_function_result(pg_proc.oid), lanname,
            provolatile, proisstrict, prosecdef, proretset
        from pg_proc
        join pg_language on pg_language.oid = prolang
        where pronamespace = 'public'::regnamespace
    """,
    "enums": "select typname, enumlabel, enumsortorder from pg_enum join pg_type on pg_type.oid = enumtypid",
    "domains": """
        select typname, format_type(typbasetype, typtypmod), typnotnull, pg_get_constraintdef(pg_constraint.oid)
        from pg_type
        join pg_constraint on contypid = pg_type.oid
        where typtype = 'd' and typnamespace = 'public'::regnamespace
    """,
}

# Questions that the real functions and views answer as ours do, on the same rows.
ANSWERS = {
    "last_day": """
        select day, last_day(day::timestamp)
        from generate_series('2023-11-01', '2024-03-05', interval '1 day') as days (day)
    """,
    "inventory_in_stock": "select inventory_id, inventory_in_stock(inventory_id) from inventory",
    "inventory_held_by_customer": "select inventory_id, inventory_held_by_customer(inventory_id) from inventory",
    "film_in_stock": "select film_id, store_id, film_in_stock(film_id, store_id) from film, store where film_id < 90",
    "film_not_in_stock": "select film_id, store_id, film_not_in_stock(film_id, store_id) from film, store",
    "group_concat": "select group_concat(title) from (select title from film order by film_id) as titles",
    "actor_info": """
        select actor_id, first_name, last_name, (
            select array_agg(part order by part) from regexp_split_to_table(film_info, ', |: ') as part
        )
        from actor_info
    """,
    "customer_list": "select * from customer_list",
    "staff_list": "select * from staff_list",
    "film_list": """
        select fid, title, description, category, price, length, rating, (
            select array_agg(actor order by actor) from regexp_split_to_table(actors, ', ') as actor
        )
        from film_list
    """,
    "nicer_but_slower_film_list": """
        select fid, (select array_agg(actor order by actor) from regexp_split_to_table(actors, ', ') as actor)
        from nicer_but_slower_film_list
    """,
    "sales_by_film_category": "select * from sales_by_film_category",
    "sales_by_store": "select * from sales_by_store",
}


@pytest.mark.parametrize("part", PARTS)
def test_the_schema_is_that_of_the_real_database(restored: str, tables: str, part: str) -> None:
    real, ours = (_answer(url, PARTS[part]) for url in (restored, tables))
    assert ours == real
    assert real


@pytest.mark.parametrize("name", ANSWERS)
def test_our_functions_and_views_answer_as_the_real_ones(ours_beside_real: str, name: str) -> None:
    real = _answer(ours_beside_real, ANSWERS[name])
    assert _answer(ours_beside_real, ANSWERS[name], "ours, public") == real
    assert real


def test_the_same_customers_are_rewarded_for_the_month_three_months_ago(ours_beside_real: str) -> None:
    with psycopg.connect(ours_beside_real) as connection:
        connection.execute(
            """
            update payment
            set payment_date = date_trunc('month', current_date - interval '3 months') + customer_id * interval '1 hour'
            where customer_id < 900
            """
        )
    question = "select * from {}.rewards_report(30, 120)"
    real = _answer(ours_beside_real, question.format("public"))
    assert _answer(ours_beside_real, question.format("ours")) == real
    assert 0 < len(real) < 599
    with pytest.raises(psycopg.errors.RaiseException, match="greater than 0"):
        _answer(ours_beside_real, "select * from ours.rewards_report(0, 120)")


def test_a_customer_owes_rates_and_a_dollar_a_late_day_less_payments(generated: Connection[Any]) -> None:
    customer, balance = generated.execute(
        """
        with charges as (
            select
                customer_id,
                rental_rate,
                floor(extract(epoch from return_date - rental_date) / 86400) - rental_duration as late_days
            from rental
            join inventory using (inventory_id)
            join film using (film_id)
        ),
        owed as (
            select customer_id, sum(rental_rate + greatest(0, late_days)) as amount from charges group by customer_id
        ),
        paid as (
            select customer_id, sum(amount) as amount from payment group by customer_id
        )
        select customer_id, owed.amount - paid.amount as balance
        from owed
        join paid using (customer_id)
        order by balance desc
        limit 1
        """
    ).fetchone() or (0, 0)
    assert balance > 0
    assert generated.execute("select get_customer_balance(%s, '2026-01-01')", (customer,)).fetchone() == (balance,)


@pytest.fixture
def ours_beside_real(restored: str) -> str:
    """The real database, with our functions and views in a schema ``ours``, over the real tables."""
    with psycopg.connect(restored) as connection:
        connection.execute("create schema ours; set search_path = ours, public")
        for name in ("functions.sql", "views.sql"):
            connection.execute((Path(schema.__file__).parent / name).read_bytes())
    return restored


def _answer(url: str, question: str, search_path: str = "public") -> list[str]:
    """The rows as text, in an order of their own."""
    with psycopg.connect(url, options=f"-c search_path={search_path.replace(' ', '')}") as connection:
        return sorted(map(repr, connection.execute(question)))
