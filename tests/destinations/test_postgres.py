"""What is PostgreSQL's own about a warehouse in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from interruption import at
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from stores import Carried, PostgresStore
from test_random_histories import BATCH_BYTES, LONG, SETTINGS, STREAMS, TABLES, Histories

from dvd_rental_dagster.catalog import STREAMS as DVD_RENTAL
from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import StreamTableError, WarehouseBusyError, WarehouseError
from dvd_rental_dagster.replication import log_reader
from dvd_rental_dagster.replication.destinations.postgres_database import PostgresDestination
from dvd_rental_dagster.replication.failpoint import FailPoint
from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.server import EmbeddedServer


@pytest.fixture
def store(postgres_store: PostgresStore) -> PostgresStore:
    return postgres_store


def test_one_writes_at_a_time_and_the_other_waits(store: PostgresStore) -> None:
    with store.destination(), pytest.raises(WarehouseBusyError, match="holds the warehouse"):
        store.destination(wait_seconds=0.1).__enter__()
    with store.destination(wait_seconds=0.1) as destination:
        assert destination.read_ledger() is None


def test_a_password_is_in_no_error(store: PostgresStore) -> None:
    parts = {**conninfo_to_dict(store.url), "password": "very secret"}
    for wrong in ({}, {"dbname": "nowhere"}, {"port": "1"}):
        with pytest.raises(WarehouseError) as caught, PostgresDestination(make_conninfo("", **{**parts, **wrong})):
            pass
        assert "very secret" not in str(caught.value)
        assert "DVD_RENTAL_WAREHOUSE_URL" in str(caught.value)


def test_a_connection_that_breaks_leaves_what_was_committed(carried: Carried, store: PostgresStore) -> None:
    def strike() -> None:
        with psycopg.connect(store.url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 10000) from pg_locks where locktype = 'advisory'"
                " and database = (select oid from pg_database where datname = current_database())"
            )

    carried.execute("update item set name = 'x' where id = 1")
    for point in (FailPoint.IN_APPLY, FailPoint.BEFORE_COMMIT):
        with at(point, strike), pytest.raises(WarehouseError, match="cannot be written"):
            carried.sync()
        assert len(carried.history()) == 20
    carried.sync()
    carried.assert_equal()
    assert len(carried.history()) == 21


def test_a_type_has_the_warehouses_own_where_the_source_has_it(
    carry: Callable[..., Carried], store: PostgresStore
) -> None:
    types = {
        "numeric(38, 10)": "numeric(38,10)",
        "numeric": "numeric",
        "timestamptz(3)": "timestamp with time zone",
        "bytea": "bytea",
        "json": "json",
        "jsonb": "jsonb",
        "point[]": "jsonb",
        "char(3)": "text",
        "interval": "text",
    }
    columns = ", ".join(f"c_{number} {name}" for number, name in enumerate(types))
    carry(f"create table value (id integer primary key, {columns})", (Stream("value", ("id",)),)).sync()
    with psycopg.connect(store.url) as connection:
        for schema in ("raw", "history"):
            found = connection.execute(
                "select format_type(atttypid, atttypmod) from pg_attribute"
                " where attrelid = format('%%s.value', %s::text)::regclass and attname like 'c\\_%%' order by attnum",
                (schema,),
            )
            assert [name for (name,) in found] == list(types.values())


def test_views_on_raw_stay_through_a_resync(carried: Carried, store: PostgresStore) -> None:
    with psycopg.connect(store.url) as connection:
        connection.execute("create view names as select name from raw.item")
    carried.execute("update item set name = 'x' where id = 1")
    carried.sync(resync=["item"])
    with psycopg.connect(store.url) as connection:
        assert connection.execute("select name from names where name = 'x'").fetchall() == [("x",)]


def test_a_reader_sees_the_old_rows_until_the_new_are_complete(carried: Carried, store: PostgresStore) -> None:
    seen: list[int] = []
    carried.execute("truncate item", "insert into item values (1, 'x', 1, null)")
    with at(FailPoint.BEFORE_COMMIT, lambda: seen.append(len(store.rows("raw", "item")))):
        carried.sync()
    assert seen == [20]
    carried.assert_equal()


def test_a_view_that_is_in_the_way_of_new_types_is_named(carried: Carried, store: PostgresStore) -> None:
    with psycopg.connect(store.url) as connection:
        connection.execute("create view cheapest as select min(price) as price from raw.item")
    carried.execute("alter table item alter column price type bigint")
    with pytest.raises(WarehouseError, match=r"view public\.cheapest depends on table raw\.item"):
        carried.sync(resync=["item"])
    with psycopg.connect(store.url) as connection:
        connection.execute("drop view cheapest")
    carried.sync(resync=["item"])
    assert carried.verify().equal


def test_the_real_database_is_carried_whole(carry: Callable[..., Carried], restored: str) -> None:
    carried = carry("", DVD_RENTAL, restored)
    carried.sync()
    carried.execute(
        "update rental set return_date = now() where return_date is null", "delete from payment where amount < 1"
    )
    carried.sync()
    carried.assert_equal()


class OfPostgres(Carried):
    """What the random histories ask of a replica."""

    def assert_follows(self, *, up_to_now: bool = True) -> None:
        with self.store.destination():  # the session of a sync that was killed may still be committing
            super().assert_follows(up_to_now=up_to_now)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        assert isinstance(self.store, PostgresStore)
        with psycopg.connect(self.store.url) as connection:
            return connection.execute(query).fetchall()


def test_random_histories_are_followed(database: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reader, "BATCH_BYTES", BATCH_BYTES)
    carried = OfPostgres(database, Path(), STREAMS, store=store)
    carried.execute(*filter(str.strip, TABLES.split(";")))
    carried.prepare()
    carried.sync()
    examples = 12 if LONG else 1
    run_state_machine_as_test(lambda: Histories(carried), settings=settings(SETTINGS, max_examples=examples))


def test_a_role_needs_no_more_than_the_three_schemas(carry: Callable[..., Carried], store: PostgresStore) -> None:
    role = conninfo_to_dict(store.url)["dbname"]
    carried = carry()
    carried.execute("insert into item values (1, 'a', 1, null)")
    carried.store = PostgresStore(make_conninfo("", **{**conninfo_to_dict(store.url), "user": role, "password": role}))
    with psycopg.connect(store.url, autocommit=True) as connection:
        connection.execute(f"create role {role} login password '{role}'")
        try:
            with pytest.raises(WarehouseError, match="permission denied for database"):
                carried.sync()
            for schema in ("raw", "history", "ledger"):
                connection.execute(f"create schema {schema}")
                connection.execute(f"grant usage, create on schema {schema} to {role}")
            carried.sync()
            carried.assert_equal()
        finally:
            connection.execute(f"drop owned by {role}")
            connection.execute(f"drop role {role}")


def test_a_value_that_the_encoding_has_not_is_named(
    server: EmbeddedServer, store: PostgresStore, carry: Callable[..., Carried]
) -> None:
    name = conninfo_to_dict(store.url)["dbname"] + "_latin"
    carried = carry()
    carried.execute("insert into item values (1, '漢字', 1, null)")
    carried.store = PostgresStore(server.url(name, SUPERUSER))
    with psycopg.connect(store.url, autocommit=True) as connection:
        connection.execute(f"create database {name} template template0 encoding latin1 locale 'C'")
        try:
            with pytest.raises(StreamTableError, match=r'public\.item, .*encoding "LATIN1"'):
                carried.sync()
        finally:
            connection.execute(f"drop database {name} with (force)")
