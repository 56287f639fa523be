"""What the graph's assets are given to reach Snowflake."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from dagster import build_init_resource_context
from typer.testing import CliRunner

from dvd_rental_dagster.cli import app
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.resources import resources
from dvd_rental_dagster.settings import Engine, Settings, load_settings

pytestmark = [
    pytest.mark.skipif(find_spec("dagster_snowflake") is None, reason="the extra for Snowflake is not installed"),
    # of the resource's own class, at its import
    pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field` is deprecated"),
]


def test_the_resource_logs_in_with_the_settings_key_and_works_where_the_models_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path / "transformer.p8"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"the-passphrase"),
        )
    )
    for name, value in {
        "WAREHOUSE": "snowflake", "SNOWFLAKE_ACCOUNT": "org-account", "SNOWFLAKE_USER": "ADA",
        "SNOWFLAKE_PRIVATE_KEY_PATH": str(path), "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": "the-passphrase",
        "SNOWFLAKE_HOST": "account.private.example",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"DVD_RENTAL_{name}", value)
    defined = resources(load_settings())["snowflake"]
    given = defined.resource_fn(build_init_resource_context())._connection_args
    plain = serialization.NoEncryption()
    assert given["private_key"] == key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, plain
    )
    assert given["authenticator"] == "SNOWFLAKE_JWT"
    assert (given["account"], given["user"]) == ("org-account", "ADA")
    assert (given["host"], given["port"], given["protocol"]) == ("account.private.example", 443, "https")
    assert (given["role"], given["warehouse"], given["database"]) == (
        "DVD_RENTALS_TRANSFORMER", "DVD_RENTALS", "DVD_RENTALS",
    )  # fmt: skip
    assert given["session_parameters"]["QUERY_TAG"] == "dvd_rental"
    assert "password" not in given


@pytest.mark.parametrize("command", [("run",), ("demo",), ("ui",), ("query", "select 1")], ids=" ".join)
@pytest.mark.parametrize("engine", list(Engine))
def test_an_account_that_is_not_known_is_told_before_anything_starts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, engine: Engine, command: tuple[str, ...]
) -> None:
    for name, value in {"HOME": str(settings.home), "WAREHOUSE": "snowflake", "ENGINE": engine}.items():
        monkeypatch.setenv(f"DVD_RENTAL_{name}", value)
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, SettingsError)
    assert "Set DVD_RENTAL_SNOWFLAKE_ACCOUNT and DVD_RENTAL_SNOWFLAKE_USER." in str(refused.exception)
    assert not settings.home.exists()


def test_without_snowflake_there_is_no_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVD_RENTAL_WAREHOUSE", "duckdb")
    assert resources(load_settings()) == {}
