"""The health of the slots that Airbyte's two connections read."""

from pathlib import Path

import psycopg
import pytest
from dagster import AssetCheckResult, AssetCheckSeverity
from typer.testing import CliRunner

from dvd_rental_dagster.checks.replication_slot import slot_health
from dvd_rental_dagster.cli import app

CONNECTIONS = {"airbyte_slot": "dvd_rental", "airbyte_history_slot": "dvd_rental_history"}
FILL = "select pg_logical_emit_message(true, 'filler', repeat('x', 4194304))"


@pytest.fixture
def prepared(tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The superuser's URL of a source that Airbyte can read."""
    for name, value in {
        "DVD_RENTAL_HOME": str(tmp_path), "DVD_RENTAL_ENGINE": "airbyte", "DVD_RENTAL_SOURCE_URL": tables,
        "DVD_RENTAL_ROLE_PASSWORD": "the-role's-password",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert CliRunner().invoke(app, ["airbyte", "prepare"]).exit_code == 0
    return tables


def checks() -> dict[str, AssetCheckResult]:
    """What the four checks tell."""
    return {str(result.check_name): result for result in slot_health()}


def drop(url: str, slot: str) -> None:
    with psycopg.connect(url) as source:
        source.execute("select pg_drop_replication_slot(%s)", (slot,))


@pytest.mark.usefixtures("prepared")
def test_each_check_names_both_slots_and_measures_both() -> None:
    found = checks()
    assert all(result.passed for result in found.values())
    for subject in ("wal_status", "lag", "retained_wal"):
        assert all(slot in (found[subject].description or "") for slot in CONNECTIONS), subject
    assert {f"{slot}/lag_bytes" for slot in CONNECTIONS} <= found["lag"].metadata.keys()


@pytest.mark.parametrize(("slot", "connection"), list(CONNECTIONS.items()))
def test_a_slot_that_is_gone_is_red_and_its_own_connection_is_to_be_cleared(
    prepared: str, slot: str, connection: str
) -> None:
    drop(prepared, slot)
    found = checks()["wal_status"]
    said = found.description or ""
    assert not found.passed
    assert found.severity is AssetCheckSeverity.ERROR
    assert f"no replication slot {slot}. Run dvd-rental airbyte prepare, then clear" in said
    assert f"connection {connection} in Airbyte and sync it." in said
    assert "dvd-rental source prepare" not in said
    assert "resync" not in said


def test_a_slot_that_nobody_reads_wants_a_sync_of_its_connection(
    prepared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVD_RENTAL_LIMIT_LAG", "1MiB")
    monkeypatch.setenv("DVD_RENTAL_LIMIT_RETAINED_WAL", "1MiB")
    with psycopg.connect(prepared) as source:
        source.execute(FILL)
    found = checks()
    for subject in ("lag", "retained_wal"):
        assert not found[subject].passed
        for connection in CONNECTIONS.values():
            assert f"Sync the connection {connection}, with dvd-rental run" in (found[subject].description or "")


def test_without_the_history_its_slot_is_not_looked_at(prepared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(prepared, "airbyte_history_slot")
    monkeypatch.setenv("DVD_RENTAL_AIRBYTE_HISTORY", "false")
    assert all(result.passed for result in checks().values())


def test_the_status_has_a_line_for_each_slot(prepared: str) -> None:
    drop(prepared, "airbyte_history_slot")
    shown = CliRunner().invoke(app, ["status", "--format", "csv"])
    assert shown.exit_code == 0
    assert "slot,airbyte_slot at " in shown.stdout.replace('"', "")
    assert "airbyte_history_slot is missing; dvd-rental airbyte prepare makes it" in shown.stdout
