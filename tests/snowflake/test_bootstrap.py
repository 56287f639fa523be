"""What ``dvd-rental snowflake bootstrap`` makes, without an account."""

import builtins
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlglot import exp, parse, parse_one
from typer.testing import CliRunner

from dvd_rental_dagster.cli import app
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.snowflake.account import connect, credentials
from dvd_rental_dagster.snowflake.bootstrap import Layout, bootstrap, script

LAYOUT = Layout("DVD_RENTALS", "DVD_RENTALS")
STATEMENTS = bootstrap(LAYOUT)


def granted(duty: str) -> set[tuple[str, str]]:
    """Each privilege of a role and what it is on."""
    start, end = "grant ", f" to role {LAYOUT.role(duty)}"
    grants = [statement.removeprefix(start).removesuffix(end) for statement in STATEMENTS if statement.endswith(end)]
    return {
        (privilege, place)
        for what, place in (grant.split(" on ") for grant in grants)
        for privilege in what.split(", ")
    }


def test_every_statement_is_snowflakes_sql() -> None:
    for statement in STATEMENTS:
        parsed = parse_one(statement, dialect="snowflake")
        # sqlglot keeps a statement that it cannot read as a command; of these it reads no role.
        assert not isinstance(parsed, exp.Command) or " role " in statement, statement


def test_the_printed_script_is_the_statements_that_are_applied() -> None:
    printed = CliRunner().invoke(app, ["snowflake", "bootstrap", "--print"])
    assert printed.exit_code == 0
    assert printed.output == script(LAYOUT)
    assert len(parse(printed.output.replace(" role ", " "), dialect="snowflake")) == len(STATEMENTS)


def test_every_statement_can_run_again() -> None:
    for statement in STATEMENTS:
        assert statement.startswith(("use role ", "grant ")) or " if not exists " in statement, statement


def test_what_is_granted_was_made_before() -> None:
    made = {"sysadmin"}
    for statement in STATEMENTS:
        if statement.startswith("create"):
            made.add(statement.split(" if not exists ")[1].split()[0])
        elif statement.startswith("grant"):
            what, role = statement.split(" to role ")
            assert {what.split()[-1], role} <= made, statement


def test_the_compute_stops_after_a_minute_of_idleness() -> None:
    (warehouse,) = [statement for statement in STATEMENTS if statement.startswith("create warehouse")]
    assert "auto_suspend = 60 " in warehouse


def test_the_history_alone_pays_for_fail_safe() -> None:
    lasting = [statement for statement in STATEMENTS if statement.startswith("create schema")]
    assert lasting == ["create schema if not exists DVD_RENTALS.HISTORY"]


def test_the_reporter_reads_marts_and_reports_and_nothing_else() -> None:
    places = {f"schema DVD_RENTALS.{schema}" for schema in ("MARTS", "REPORTS")}
    assert granted("REPORTER") == {
        ("usage", "database DVD_RENTALS"),
        ("usage", "warehouse DVD_RENTALS"),
        *(("usage", place) for place in places),
    } | granted_selects("REPORTER")
    assert {place.split(" in ")[1] for _, place in granted_selects("REPORTER")} == places


def granted_selects(duty: str) -> set[tuple[str, str]]:
    start = "grant select on "
    end = f" to role {LAYOUT.role(duty)}"
    return {
        ("select", statement.removeprefix(start).removesuffix(end))
        for statement in STATEMENTS
        if statement.startswith(start) and statement.endswith(end)
    }


def test_the_transformer_reads_what_is_loaded_and_builds_in_its_three_schemas() -> None:
    rights = granted("TRANSFORMER")
    assert {place for right, place in rights if right == "select"} == {
        f"{which} tables in schema DVD_RENTALS.{schema}" for which in ("all", "future") for schema in ("RAW", "HISTORY")
    }
    assert {place for right, place in rights if right.startswith("create")} == {
        f"schema DVD_RENTALS.{schema}" for schema in ("STAGING", "MARTS", "REPORTS")
    }


def test_the_loader_makes_tables_and_stages_in_the_schemas_that_it_writes() -> None:
    rights = granted("LOADER")
    for right in ("usage", "create table", "create stage"):
        assert {place for each, place in rights if each == right and place.startswith("schema")} == {
            f"schema DVD_RENTALS.{schema}" for schema in ("RAW", "HISTORY", "LEDGER")
        }


def test_a_developer_makes_schemas_and_writes_into_none_of_the_shared() -> None:
    rights = granted("DEVELOPER")
    assert {(right, place) for right, place in rights if right.startswith("create")} == {
        ("create schema", "database DVD_RENTALS")
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Set DVD_RENTAL_SNOWFLAKE_ACCOUNT and DVD_RENTAL_SNOWFLAKE_USER"),
        ({"snowflake_account": "a", "snowflake_user": "u"}, "Neither a key nor a password is set"),
        (
            {
                "snowflake_account": "a", "snowflake_user": "u", "snowflake_password": "p",
                "snowflake_private_key_path": "k",
            },
            "Both a key and a password are set",
        ),
        (
            {"snowflake_account": "a", "snowflake_user": "u", "snowflake_private_key_path": "/no/key.p8"},
            "/no/key.p8, which does not exist",
        ),
    ],
)  # fmt: skip
def test_settings_that_let_nobody_in_are_named(given: Mapping[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        credentials(Settings(_env_file=None, **given))


def test_a_key_is_used_without_a_password(tmp_path: Path) -> None:
    key = tmp_path / "key.p8"
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    settings = Settings(
        _env_file=None, snowflake_account="a", snowflake_user="u", snowflake_private_key_path=key,
        snowflake_private_key_passphrase="secret",  # noqa: S106  # opens nothing
    )  # fmt: skip
    assert credentials(settings) == {
        "account": "a", "user": "u", "authenticator": "SNOWFLAKE_JWT", "private_key_file": str(key),
        "private_key_file_pwd": "secret",
    }  # fmt: skip


def test_without_the_extra_the_command_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_connector(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("snowflake"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_connector)
    with pytest.raises(SettingsError, match=r"dvd-rental-dagster\[snowflake\]"), connect(Settings(_env_file=None)):
        pass
