"""A database that is no DVD Rental, from the command line; and the graph, whose models are DVD Rental's."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from dagster import build_sensor_context
from home import Home

from dvd_rental_dagster.automation.log_sensor import _below
from dvd_rental_dagster.catalog import STREAM_NAMES, STREAMS, Stream, SyncMode, dump_catalog
from dvd_rental_dagster.errors import CatalogError, GraphError
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.source.cluster import OWNER
from dvd_rental_dagster.source.connection_string import database_of
from dvd_rental_dagster.source.server import EmbeddedServer
from dvd_rental_dagster.transformation.project import check_streams

TABLES = """
    create schema stock;
    create table orders (id integer primary key, note text);
    create table stock.orders (shelf integer, place integer, item text, primary key (shelf, place));
    create table stock.log (what text);
    create view stock.shelves as select distinct shelf from stock.orders;
    insert into orders select i, 'order ' || i from generate_series(1, 20) as i;
    insert into stock.orders select i, i, 'item' from generate_series(1, 10) as i;
    insert into stock.log values ('a'), ('a'), ('b');
"""


@pytest.fixture
def shop(server: EmbeddedServer, database: str, tmp_path: Path) -> Iterator[Home]:
    """A home whose source is a shop, with a catalog still to be written."""
    name = database_of(database)
    url = server.url(name, OWNER)
    with psycopg.connect(url) as connection:
        connection.execute(TABLES)
    settings = {
        "DVD_RENTAL_SOURCE_URL": url,
        "DVD_RENTAL_ROLE": f"role_{name}",
        "DVD_RENTAL_ROLE_PASSWORD": "s3cret",
        "DVD_RENTAL_SLOT": name,
        "DVD_RENTAL_CATALOG": str(tmp_path / "catalog.toml"),
    }
    home = Home(tmp_path / "home", settings)
    yield home
    home.remove()


def test_it_goes_from_discovery_to_equal_rows(shop: Home, tmp_path: Path) -> None:
    _, missing = shop.told("sync", expected=1)
    assert "dvd-rental catalog discover" in missing
    written, left_out = shop.told("catalog", "discover", "--output", str(tmp_path / "catalog.toml"))
    assert "3 tables" in written
    assert "left out stock.shelves: a view" in left_out
    shown = json.loads(shop.cli("catalog", "show", "--format", "json"))
    assert {row["stream"]: (row["table"], row["primary_key"]) for row in shown} == {
        "public_orders": ("public.orders", "id"),
        "stock_orders": ("stock.orders", "shelf, place"),
        "log": ("stock.log", ""),
    }
    shop.cli("source", "prepare")
    assert shop.sync()["streams"]["log"]["snapshot"] == 3
    shop.execute(
        "delete from stock.log where what = 'b'", "update stock.orders set shelf = shelf + 100 where place < 3"
    )
    assert "stock_orders" in shop.cli("status")
    assert set(shop.sync()["streams"]) == {"stock_orders", "log"}
    assert "equal" in shop.cli("verify")
    assert shop.query("select max(shelf) as shelf from raw.stock_orders") == [{"shelf": 102}]
    _, refused = shop.told("run", expected=1)
    assert "does not replicate actor, " in refused


def test_discovery_prints_where_no_file_is_named(shop: Home) -> None:
    assert '[[stream]]\nname = "log"\nschema = "stock"' in shop.cli("catalog", "discover", "--schema", "stock")


def with_catalog(settings: Settings, folder: Path, streams: tuple[Stream, ...]) -> Settings:
    path = folder / "catalog.toml"
    path.write_text(dump_catalog(streams))
    return settings.model_copy(update={"catalog": path})


def test_the_graph_takes_a_catalog_of_more_than_it_reads(settings: Settings, tmp_path: Path) -> None:
    check_streams(with_catalog(settings, tmp_path, (*STREAMS, Stream("more", ("id",)))))


@pytest.mark.parametrize(
    "streams", [STREAMS[1:], (Stream("actor", ("actor_id",), mode=SyncMode.INCREMENTAL_APPEND), *STREAMS[1:])]
)
def test_the_graph_refuses_a_catalog_of_less(settings: Settings, tmp_path: Path, streams: tuple[Stream, ...]) -> None:
    with pytest.raises(GraphError, match=r"does not replicate actor as.*unset DVD_RENTAL_CATALOG"):
        check_streams(with_catalog(settings, tmp_path, streams))


def test_the_graph_refuses_a_catalog_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read"):
        check_streams(settings.model_copy(update={"catalog": tmp_path / "missing.toml"}))


def test_a_change_of_a_stream_outside_the_graph_asks_for_a_run_of_everything() -> None:
    from dvd_rental_dagster.definitions import defs  # noqa: PLC0415

    with build_sensor_context(repository_def=defs.get_repository_def()) as context:
        assert _below(context, ("payment", "more")) == _below(context, STREAM_NAMES) != _below(context, ("payment",))
