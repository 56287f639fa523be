"""As whom the project acts in the account: as the bootstrap calls the roles, whatever the database is called."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment
from pydantic import SecretStr

from dvd_rental_dagster.errors import SnowflakeError
from dvd_rental_dagster.reading import read
from dvd_rental_dagster.replication.destinations.snowflake_session import PARAMETERS
from dvd_rental_dagster.settings import Settings, Warehouse, load_settings
from dvd_rental_dagster.snowflake.account import SESSION
from dvd_rental_dagster.transformation.project import DBT_PATH, environment
from dvd_rental_dagster.warehouse import chosen_destination

pytestmark = pytest.mark.skipif(
    find_spec("snowflake.connector") is None, reason="the extra for Snowflake is not installed"
)

ROLES = {
    "called after the database": ({"DATABASE": "shop"}, "SHOP_LOADER", "SHOP_TRANSFORMER"),
    "as the settings say": (
        {"DATABASE": "shop", "LOADER_ROLE": "carrier", "ROLE": "SHOP_DEVELOPER"}, "CARRIER", "SHOP_DEVELOPER",
    ),
    "of the database that the bootstrap makes": ({}, "DVD_RENTALS_LOADER", "DVD_RENTALS_TRANSFORMER"),
}  # fmt: skip


@pytest.fixture(params=ROLES)
def roles(request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Who loads, and who builds and reads, with settings that are this process's."""
    given, loads, builds = ROLES[request.param]
    monkeypatch.setenv("DVD_RENTAL_HOME", str(settings.home))
    monkeypatch.setenv("DVD_RENTAL_WAREHOUSE", "snowflake")
    for name, value in ({"ACCOUNT": "org-account", "USER": "ada", "PASSWORD": "secret"} | given).items():
        monkeypatch.setenv(f"DVD_RENTAL_SNOWFLAKE_{name}", value)
    return loads, builds


def profile() -> dict[str, Any]:
    """What dbt's profile says in this process's environment."""
    outputs = yaml.safe_load((DBT_PATH / "profiles.yml").read_text())["dvd_rental"]["outputs"]
    render = Environment(autoescape=True).from_string
    return {
        name: render(str(value)).render(env_var=lambda key, default=None: os.environ.get(key, default))
        for name, value in outputs["snowflake"].items()
        if "as_number" not in str(value)
    }


def test_dbt_gets_in_by_a_key_or_by_a_password(settings: Settings, tmp_path: Path) -> None:
    key = tmp_path / "key.p8"
    here = settings.model_copy(
        update={"warehouse": Warehouse.SNOWFLAKE, "snowflake_account": "org-account", "snowflake_user": "ADA"}
    )
    by_key = {"snowflake_private_key_path": key, "snowflake_private_key_passphrase": SecretStr("opens it")}
    names = ("account", "user", "password", "private_key_path", "private_key_passphrase")
    for update, expected in (
        (by_key, ["org-account", "ADA", "", str(key), "opens it"]),
        ({"snowflake_password": SecretStr("lets in")}, ["org-account", "ADA", "lets in", "", ""]),
    ):
        with environment(here.model_copy(update=update)):
            found = profile()
        assert [found[name] for name in names] == expected


def test_what_dbt_asks_bears_the_tag_of_what_the_others_ask() -> None:
    assert profile()["query_tag"] == PARAMETERS["QUERY_TAG"] == SESSION["QUERY_TAG"] == "dvd_rental"


def test_sync_and_query_log_in_as_the_roles(roles: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from snowflake import connector  # noqa: PLC0415

    asked: list[str] = []

    def refuse(**given: Any) -> None:
        asked.append(given["role"])
        raise connector.errors.DatabaseError("no")

    monkeypatch.setattr(connector, "connect", refuse)
    with pytest.raises(SnowflakeError), chosen_destination(load_settings()) as warehouse:
        warehouse.read_ledger()
    with pytest.raises(SnowflakeError):
        read(load_settings(), "select 1")
    assert tuple(asked) == roles


def test_dbt_builds_as_the_role(roles: tuple[str, str]) -> None:
    with environment(load_settings()):
        assert profile()["role"] == roles[1]
    assert profile()["role"].upper() == roles[1]
