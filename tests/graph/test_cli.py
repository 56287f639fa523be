"""The command line: help, errors of one line, exit codes."""

import errno
import shutil
from pathlib import Path

import pytest
from home import Home
from typer.testing import CliRunner

from dvd_rental_dagster.cli import app
from dvd_rental_dagster.errors import DvdRentalError
from dvd_rental_dagster.settings import Settings

COMMANDS = [
    ("up",), ("down",), ("status",), ("sync",), ("verify",), ("resync",), ("run",), ("ui",), ("query",), ("reset",),
    ("source", "url"), ("source", "restore"), ("source", "generate"), ("source", "prepare"), ("source", "fill"),
    ("catalog", "discover"), ("catalog", "show"),
    ("airbyte", "prepare"), ("airbyte", "plan"), ("airbyte", "apply"), ("airbyte", "destroy"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert f"dvd-rental {' '.join(command)}" in shown.stdout.split("Options")[0].split("Usage")[1][20:]


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        (("query", "select 1"), "dvd-rental run"),
        (("source", "url"), "dvd-rental up"),
        (("resync", "rentals"), "The streams are"),
        (("source", "restore", "no-such-file.tar"), "no-such-file.tar"),
    ],
)
def test_an_error_is_one_line_that_names_the_remedy(empty_home: Home, command: tuple[str, ...], remedy: str) -> None:
    failed = empty_home.run("dvd-rental", *command, expected=1)
    errors = [line for line in failed.stderr.splitlines() if "Error:" in line]
    assert len(errors) == 1
    assert remedy in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_wrong_setting_is_named(empty_home: Home) -> None:
    wrong = Home(empty_home.path, {"DVD_RENTAL_SCALE": "many"})
    failed = wrong.run("dvd-rental", "status", expected=1)
    assert "DVD_RENTAL_SCALE" in failed.stderr


def test_an_unreachable_source_is_named_without_its_password(empty_home: Home) -> None:
    url = "postgresql://someone:secret-word@127.0.0.1:1/dvdrental"
    failed = Home(empty_home.path, {"DVD_RENTAL_SOURCE_URL": url}).run("dvd-rental", "sync", expected=1)
    assert "127.0.0.1" in failed.stderr
    assert "secret-word" not in failed.stderr + failed.stdout


@pytest.mark.xdist_group("loaded")
def test_answers_come_as_table_csv_and_json(loaded_home: Home) -> None:
    statement = "select store_id from raw.store order by store_id"
    assert loaded_home.cli("query", statement, "--format", "csv") == "store_id\n1\n2\n"
    assert loaded_home.query(statement) == [{"store_id": 1}, {"store_id": 2}]
    assert "store_id" in loaded_home.cli("query", statement)


@pytest.mark.xdist_group("loaded")
def test_down_stops_the_source_and_up_brings_it_back_with_its_data(loaded_home: Home) -> None:
    loaded_home.execute("delete from payment where payment_id = (select max(payment_id) from payment)")
    loaded_home.run("dvd-rental", "down")
    assert "down" in loaded_home.cli("status")
    loaded_home.run("dvd-rental", "up")
    assert loaded_home.sync()["streams"]["payment"]["deleted"] == 1


@pytest.mark.parametrize(
    ("warehouse", "place"),
    [
        ("snowflake", "DVD_RENTALS of Snowflake's account org-account"),
        ("postgres", "the database of DVD_RENTAL_WAREHOUSE_URL"),
    ],
)
def test_reset_says_that_tables_outside_the_home_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, warehouse: str, place: str
) -> None:
    for name, value in {"HOME": str(settings.home), "WAREHOUSE": warehouse, "SNOWFLAKE_ACCOUNT": "org-account"}.items():
        monkeypatch.setenv(f"DVD_RENTAL_{name}", value)
    note = settings.published_path / "build.json"
    for options, what in (["--warehouse"], "what was noted of the warehouse"), ([], "everything"):
        note.parent.mkdir(parents=True)
        note.touch()
        said = f"{what} in {settings.home}; the tables in {place} stay"
        asked = CliRunner().invoke(app, ["reset", *options], input="n\n")
        assert f"Remove {said}?" in asked.stdout
        assert note.exists()
        done = CliRunner().invoke(app, ["reset", *options, "--yes"])
        assert done.stdout == f"Removed {said}.\n"
        assert not note.parent.exists()


def test_reset_names_what_it_could_not_remove_and_the_remedy(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meet_a_writer(path: Path) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty", str(path))

    monkeypatch.setenv("DVD_RENTAL_HOME", str(settings.home))
    settings.home.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(shutil, "rmtree", meet_a_writer)
    with pytest.raises(DvdRentalError, match=f"Directory not empty: '{settings.home}'.*dvd-rental ui .Ctrl-C.*again"):
        CliRunner().invoke(app, ["reset", "--yes"], catch_exceptions=False)


@pytest.mark.parametrize("options", [["--warehouse"], []], ids=["the warehouse", "everything"])
def test_reset_removes_the_lines_of_json_wherever_they_are(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str]
) -> None:
    folder = tmp_path / "lines"
    for name, value in {"HOME": str(settings.home), "WAREHOUSE": "json", "JSON_PATH": str(folder)}.items():
        monkeypatch.setenv(f"DVD_RENTAL_{name}", value)
    (folder / "generations" / "1").mkdir(parents=True)
    (folder / "of others").touch()
    done = CliRunner().invoke(app, ["reset", *options, "--yes"])
    assert f"the lines in {folder}" in done.stdout
    assert [path.name for path in folder.iterdir()] == ["of others"]


@pytest.mark.xdist_group("loaded")
def test_reset_leaves_the_source_where_the_warehouse_is_named_and_else_nothing(loaded_home: Home) -> None:
    loaded_home.cli("reset", "--warehouse", "--yes")
    assert not loaded_home.warehouse.exists()
    assert not loaded_home.published.exists()
    assert loaded_home.server.is_running()
    loaded_home.cli("reset", "--yes")
    assert not loaded_home.path.exists()
    assert not loaded_home.server.is_running()
