"""What makes a database a DVD Rental: the fifteen tables, their columns and their keys."""

from typing import Any

from psycopg import Connection

from dvd_rental_dagster.catalog import STREAMS

COLUMNS: dict[str, tuple[str, ...]] = {
    "actor": ("actor_id", "first_name", "last_name", "last_update"),
    "address": (*("address_id", "address", "address2", "district", "city_id", "postal_code", "phone", "last_update"),),
    "category": ("category_id", "name", "last_update"),
    "city": ("city_id", "city", "country_id", "last_update"),
    "country": ("country_id", "country", "last_update"),
    "customer": (
        *("customer_id", "store_id", "first_name", "last_name", "email", "address_id", "activebool", "create_date"),
        *("last_update", "active"),
    ),
    "film": (
        *("film_id", "title", "description", "release_year", "language_id", "rental_duration", "rental_rate"),
        *("length", "replacement_cost", "rating", "last_update", "special_features", "fulltext"),
    ),
    "film_actor": ("actor_id", "film_id", "last_update"),
    "film_category": ("film_id", "category_id", "last_update"),
    "inventory": ("inventory_id", "film_id", "store_id", "last_update"),
    "language": ("language_id", "name", "last_update"),
    "payment": ("payment_id", "customer_id", "staff_id", "rental_id", "amount", "payment_date"),
    "rental": (*("rental_id", "rental_date", "inventory_id", "customer_id", "return_date", "staff_id", "last_update"),),
    "staff": (
        *("staff_id", "first_name", "last_name", "address_id", "email", "store_id", "active", "username"),
        *("password", "last_update", "picture"),
    ),
    "store": ("store_id", "manager_staff_id", "address_id", "last_update"),
}

_FIND_COLUMNS = """
    select
        pg_class.relname as table_name,
        array_agg(pg_attribute.attname::text) as columns
    from pg_class
    inner join pg_attribute on pg_class.oid = pg_attribute.attrelid
    where
        pg_class.relnamespace = 'public'::regnamespace
        and pg_class.relkind = 'r'
        and pg_attribute.attnum > 0
        and not pg_attribute.attisdropped
    group by pg_class.relname
"""
_FIND_KEYS = """
    with key_columns as (
        select
            conrelid,
            unnest(conkey) as attnum,
            generate_subscripts(conkey, 1) as place
        from pg_constraint
        where contype = 'p' and connamespace = 'public'::regnamespace
    )
    select
        pg_class.relname as table_name,
        array_agg(pg_attribute.attname::text order by key_columns.place) as columns
    from key_columns
    inner join pg_class on key_columns.conrelid = pg_class.oid
    inner join pg_attribute on pg_class.oid = pg_attribute.attrelid and key_columns.attnum = pg_attribute.attnum
    group by pg_class.relname
"""


def differences(connection: Connection[Any]) -> list[str]:
    """What the database lacks to be a DVD Rental, a sentence each; columns and tables of its own are no difference."""
    tables: dict[str, list[str]] = dict(connection.execute(_FIND_COLUMNS).fetchall())
    keys: dict[str, list[str]] = dict(connection.execute(_FIND_KEYS).fetchall())
    found = []
    for stream in STREAMS:
        if stream.name not in tables:
            found.append(f"table {stream.name} is missing")
        elif missing := [column for column in COLUMNS[stream.name] if column not in tables[stream.name]]:
            found.append(f"table {stream.name} lacks {', '.join(missing)}")
        elif tuple(keys.get(stream.name, ())) != stream.primary_key:
            found.append(f"table {stream.name} lacks the primary key ({', '.join(stream.primary_key)})")
    return found
