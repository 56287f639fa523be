"""The settings choose the warehouse, and say so where they cannot."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from stores import JsonStore, PostgresStore
from typer.testing import CliRunner

from dvd_rental_dagster.cli import app
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.settings import Settings, load_settings
from dvd_rental_dagster.source.cluster import OWNER
from dvd_rental_dagster.source.connection_string import database_of
from dvd_rental_dagster.source.server import EmbeddedServer
from dvd_rental_dagster.transformation.project import global_arguments
from dvd_rental_dagster.warehouse import chosen_destination

Set = Callable[..., None]


@pytest.fixture
def choose(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Sets the environment of a home of the test's own."""

    def set_all(**values: str) -> None:
        monkeypatch.setenv("DVD_RENTAL_HOME", str(settings.home))
        for name, value in values.items():
            monkeypatch.setenv(f"DVD_RENTAL_{name.upper()}", value)

    return set_all


def cli(*arguments: str, expected: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    if expected:
        assert isinstance(result.exception, Exception), result.output
        return str(result.exception)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_the_command_line_carries_a_source_into_postgresql(
    choose: Set, postgres_store: PostgresStore, server: EmbeddedServer, tables: str, settings: Settings
) -> None:
    name = database_of(tables)
    choose(
        warehouse="postgres", warehouse_url=postgres_store.url, source_url=server.url(name, OWNER),
        role=f"role_{name}", role_password=name, slot=name,
    )  # fmt: skip
    cli("source", "prepare")
    assert "nothing yet; dvd-rental sync loads" in cli("status", "--format", "json")
    with psycopg.connect(tables) as source:
        source.execute("insert into language values (1, 'English', now())")
    assert json.loads(cli("sync", "--format", "json"))["streams"]["language"]["snapshot"] == 1
    assert json.loads(cli("resync", "language", "--format", "json"))["streams"]["language"]["snapshot"] == 1
    assert {row["result"] for row in json.loads(cli("verify", "--format", "json"))} == {"equal"}
    status = {row["part"]: row["state"] for row in json.loads(cli("status", "--format", "json"))}
    assert "by sync 3 at" in status["loaded"]
    assert [row["name"].strip() for row in postgres_store.rows("raw", "language")] == ["English"]
    assert not settings.duckdb_path.exists()
    assert not settings.published_path.exists()
    password = str(conninfo_to_dict(postgres_store.url)["password"])
    assert password not in json.dumps(status)
    assert password not in repr(load_settings())


def test_the_command_line_carries_a_source_into_json_lines(
    choose: Set, server: EmbeddedServer, tables: str, settings: Settings, tmp_path: Path
) -> None:
    name, folder = database_of(tables), tmp_path / "lines"
    choose(
        warehouse="json", json_path=str(folder), source_url=server.url(name, OWNER),
        role=f"role_{name}", role_password=name, slot=name,
    )  # fmt: skip
    cli("source", "prepare")
    assert "nothing yet; dvd-rental sync loads" in cli("status", "--format", "json")
    with psycopg.connect(tables) as source:
        source.execute("insert into language values (1, 'English', now())")
    assert json.loads(cli("sync", "--format", "json"))["streams"]["language"]["snapshot"] == 1
    assert json.loads(cli("resync", "language", "--format", "json"))["streams"]["language"]["snapshot"] == 1
    assert {row["result"] for row in json.loads(cli("verify", "--format", "json"))} == {"equal"}
    status = {row["part"]: row["state"] for row in json.loads(cli("status", "--format", "json"))}
    assert "by sync 3 at" in status["loaded"]
    assert [row["name"].strip() for row in JsonStore(folder).rows("raw", "language")] == ["English"]
    assert not settings.duckdb_path.exists()
    assert not settings.published_path.exists()
    (folder / "mine").touch()
    cli("reset", "--warehouse", "--yes")
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_json_lines_are_below_the_home_where_nothing_else_is_said(settings: Settings) -> None:
    assert settings.json_folder == settings.home / "json"


@pytest.mark.parametrize("warehouse", ["postgres", "json"])
@pytest.mark.parametrize("command", [("run",), ("demo",), ("ui",), ("query", "select 1")], ids=" ".join)
def test_what_runs_on_duckdb_says_so(choose: Set, command: tuple[str, ...], warehouse: str) -> None:
    choose(warehouse=warehouse, warehouse_url="postgresql://me:hidden@nowhere/warehouse")
    message = cli(*command, expected=1)
    assert f"run on duckdb or snowflake, and DVD_RENTAL_WAREHOUSE is {warehouse}" in message


def test_airbytes_graph_does_not_run_on_json_lines(choose: Set) -> None:
    choose(warehouse="json", engine="airbyte")
    message = cli("run", expected=1)
    assert "With DVD_RENTAL_ENGINE=airbyte the graph runs on duckdb or snowflake" in message
    assert "is json. Set" in message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"warehouse": "postgres"}, "Set DVD_RENTAL_WAREHOUSE_URL"),
        (
            {"warehouse": "postgres", "warehouse_url": "hidden=what is=this"},
            "DVD_RENTAL_WAREHOUSE_URL is no connection",
        ),
        ({"warehouse": "snowflake"}, "Set DVD_RENTAL_SNOWFLAKE_ACCOUNT and DVD_RENTAL_SNOWFLAKE_USER"),
        (
            {"warehouse": "snowflake", "snowflake_account": "a", "snowflake_user": "hidden"},
            "Set one of DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH",
        ),
    ],
)
def test_a_setting_that_cannot_serve_is_one_clear_error(choose: Set, values: dict[str, str], message: str) -> None:
    choose(**values)
    with pytest.raises(SettingsError, match=message) as caught:
        chosen_destination(load_settings())
    assert "hidden" not in str(caught.value)
    assert cli("sync", expected=1) == cli("verify", expected=1) == str(caught.value)


@pytest.mark.parametrize("warehouse", ["duckdb", "postgres", "snowflake", "json"])
def test_dbt_has_a_target_whatever_is_chosen(choose: Set, warehouse: str) -> None:
    choose(warehouse=warehouse)
    arguments = global_arguments(load_settings())
    assert arguments[arguments.index("--target") + 1] == ("snowflake" if warehouse == "snowflake" else "duckdb")
    assert Path(arguments[arguments.index("--profiles-dir") + 1], "profiles.yml").exists()
