"""Any database: discovered, and described in a file."""

from pathlib import Path

import psycopg
import pytest
from reader import found, run
from shop import LONG

from dvd_rental_dagster.catalog import Stream, SyncMode, dump_catalog, load_catalog
from dvd_rental_dagster.errors import CatalogError
from dvd_rental_dagster.replication.discovery import discover

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
