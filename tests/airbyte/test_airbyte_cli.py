"""``dvd-rental airbyte``: what it shows, what it asks, and what it never tells."""

import logging
import uuid
from collections.abc import Callable

import psycopg
import pytest
from fake import Answer, Fake
from pydantic import SecretStr
from typer.testing import CliRunner
from wishes import SECRETS

from dvd_rental_dagster import airbyte_cli
from dvd_rental_dagster.settings import AirbyteSettings, Settings


def test_the_commands_tell_what_they_do_and_no_secret(
    fake: Fake, run: Callable[..., tuple[int, str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = ""
    for arguments, expected in (
        (("plan",), "+ connection dvd_rental_history"),
        (("apply",), "created: source dvd_rental"),
        (("plan", "--check"), "The server is as the settings ask for"),
        (("apply",), "nothing was changed"),
        (("apply", "--secrets"), "written again: destination dvd_rental"),
    ):
        code, told = run(*arguments)
        assert code == 0
        assert expected in told
        shown += told
    assert "+ password: (secret)" in shown
    echo = {"status": 422, "type": "x", "title": "invalid", "detail": f"cannot use {' or '.join(SECRETS)}"}
    fake.rows["destinations"].clear()
    fake.rows["connections"].clear()
    fake.fail("POST", "/destinations", Answer(422, echo))
    code, told = run("apply")
    assert code == 1
    assert "cannot use **********" in told
    for secret in set(SECRETS) - {"the-warehouse-password"}:  # which no setting in use holds
        assert secret not in told
    for secret in (*SECRETS, *fake.tokens):
        assert secret not in shown + caplog.text


def test_destroy_asks_first_and_deletes_what_is_ours_alone(fake: Fake, run: Callable[..., tuple[int, str]]) -> None:
    run("apply", name="theirs")
    run("apply", full_refresh=True)
    before = len(fake.writes)
    code, told = run("destroy", entered="n\n")
    assert (code, len(fake.writes)) == (1, before)
    assert "- connection dvd_rental_history" in told
    assert "- source dvd_rental_full_refresh" in told
    code, told = run("destroy", "--yes")
    assert code == 0
    assert "pg_drop_replication_slot('airbyte_slot')" in told
    names = {row["name"] for kind in ("sources", "destinations", "connections") for row in fake.rows[kind].values()}
    assert names == {"theirs", "theirs_history"}
    assert "nothing of ours" in run("destroy", "--yes")[1]


def test_a_deletion_whose_answer_was_lost_is_done(fake: Fake, run: Callable[..., tuple[int, str]]) -> None:
    run("apply")
    fake.fail("DELETE", "/connections", Answer(500, {"errorId": "00000000-0000-0000-0000-000000000000"}, after=True))
    code, told = run("destroy", "--yes")
    assert code == 0
    assert "was gone: connection dvd_rental" in told
    assert fake.rows["sources"] == {}


def test_prepare_makes_a_publication_and_a_slot_for_each_connection(
    settings: Settings, tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = uuid.uuid4().hex
    names = {"publication": f"raw_{mark}", "slot": f"raw_{mark}"}
    history = AirbyteSettings(history_publication=f"history_{mark}", history_slot=f"history_{mark}")
    update = {"source_url": SecretStr(tables), "role_password": SecretStr("word"), "airbyte": history, **names}
    monkeypatch.setattr(airbyte_cli, "load_settings", lambda: settings.model_copy(update=update))
    assert CliRunner().invoke(airbyte_cli.app, ["prepare"]).exit_code == 0
    with psycopg.connect(tables) as connection:
        for query in ("select slot_name from pg_replication_slots", "select pubname from pg_publication"):
            found = {name for (name,) in connection.execute(query) if name.endswith(mark)}
            assert found == {f"raw_{mark}", f"history_{mark}"}
    again = CliRunner().invoke(airbyte_cli.app, ["prepare"])
    assert "made" not in again.output
