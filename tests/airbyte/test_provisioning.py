"""Provisioning: what is wanted of each destination, what a plan sees, and what an apply leaves."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake import CLIENT_ID, CLIENT_SECRET, DEDUPED, LOCAL_JSON, MASK, Answer, Fake, Silence
from pydantic import SecretStr
from typer.testing import CliRunner

from dvd_rental_dagster import airbyte_cli
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.plan import Action, Kind
from dvd_rental_dagster.airbyte.provisioning import Provisioning
from dvd_rental_dagster.airbyte.server import provisioning
from dvd_rental_dagster.catalog import STREAM_NAMES, Stream
from dvd_rental_dagster.errors import (
    AirbyteRefusedError,
    AirbyteUncertainError,
    DvdRentalError,
    ProvisioningError,
    SettingsError,
)
from dvd_rental_dagster.settings import AirbyteDestination, AirbyteSettings, Settings, SnowflakeSettings

URL = "postgresql://airbyte:the-role-password@10.0.0.5:5433/dvdrental?sslmode=require"
SECRETS = (
    "the-role-password", "the-tunnel-key-line-one", "the-snowflake-key-line-one", "the-passphrase",
    "the-warehouse-password", CLIENT_SECRET,
)  # fmt: skip
Provision = Callable[..., Provisioning]


@pytest.fixture
def wanted_settings(settings: Settings, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of everything, whose destination and details the test chooses."""
    tunnel_key, snowflake_key = tmp_path / "tunnel.pem", tmp_path / "snowflake.p8"
    tunnel_key.write_text("-----BEGIN KEY-----\nthe-tunnel-key-line-one\n-----END KEY-----\n")
    snowflake_key.write_text("-----BEGIN KEY-----\nthe-snowflake-key-line-one\n-----END KEY-----\n")

    def make(**changes: Any) -> Settings:
        airbyte = {
            "client_id": CLIENT_ID, "client_secret": SecretStr(CLIENT_SECRET),
            "tunnel_host": "bastion.example", "tunnel_user": "ec2-user", "tunnel_key_file": tunnel_key,
            "postgres_url": SecretStr("postgresql://writer:the-warehouse-password@warehouse.example/analytics"),
        }  # fmt: skip
        snowflake = SnowflakeSettings(
            account="org-account", user="LOADER", private_key_file=snowflake_key,
            private_key_passphrase=SecretStr("the-passphrase"),
        )  # fmt: skip
        update = {
            "source_url": SecretStr(URL), "airbyte": AirbyteSettings(**(airbyte | changes)), "snowflake": snowflake,
        }  # fmt: skip
        return settings.model_copy(update=update)

    return make


@pytest.fixture
def provision(client: AirbyteClient, wanted_settings: Callable[..., Settings]) -> Provision:
    """What the settings ask for, on the fake; a keyword is a setting of Airbyte's."""

    def make(**changes: Any) -> Provisioning:
        return provisioning(client, wanted_settings(**changes), URL)

    return make


@pytest.fixture
def run(
    wanted_settings: Callable[..., Settings], url: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs ``dvd-rental airbyte``; its exit code and all that it printed."""

    def run(*arguments: str, entered: str | None = None, **changes: Any) -> tuple[int, str]:
        chosen = wanted_settings(url=url, **changes)
        monkeypatch.setattr(airbyte_cli, "load_settings", lambda: chosen)
        done = CliRunner().invoke(airbyte_cli.app, [*arguments], input=entered)
        assert done.exception is None or isinstance(done.exception, SystemExit | DvdRentalError), done.exception
        return done.exit_code, f"{done.output}{done.exception or ''}"

    return run


def _silent(kind: Kind, name: str, what: str) -> None:
    """Hear nothing."""


@pytest.mark.parametrize("destination", AirbyteDestination)
def test_after_an_apply_there_is_nothing_to_plan_and_a_second_changes_nothing(
    provision: Provision, fake: Fake, destination: AirbyteDestination
) -> None:
    wanted = provision(destination=destination, schedule="cron")
    assert {step.action for step in wanted.plan().steps} == {Action.CREATE}
    assert fake.writes == []
    wanted.apply(_silent)
    made = len(fake.writes)
    assert made == (3 if destination is AirbyteDestination.LOCAL_JSON else 5)
    again = provision(destination=destination, schedule="cron")
    assert again.plan().is_empty
    assert again.apply(_silent).is_empty
    assert len(fake.writes) == made


def test_snowflake_gets_the_current_state_and_every_version_through_slots_of_their_own(
    provision: Provision, fake: Fake
) -> None:
    provision().apply(_silent)
    for name, slot, publication, mode, schema in (
        ("dvd_rental", "airbyte_slot", "airbyte_publication", DEDUPED, "raw"),
        ("dvd_rental_history", "airbyte_history_slot", "airbyte_history_publication", "incremental_append", "history"),
    ):
        source = fake.only("sources", name)["configuration"]
        assert (source["host"], source["port"], source["database"]) == ("10.0.0.5", 5433, "dvdrental")
        assert source["replication_method"]["method"] == "CDC"
        assert source["replication_method"]["replication_slot"] == slot
        assert source["replication_method"]["publication"] == publication
        assert source["replication_method"]["invalid_cdc_cursor_position_behavior"] == "Fail sync"
        assert source["ssl_mode"] == {"mode": "require"}
        assert source["password"] == "the-role-password"
        assert source["tunnel_method"]["tunnel_method"] == "SSH_KEY_AUTH"
        assert "the-tunnel-key-line-one" in source["tunnel_method"]["ssh_key"]
        connection = fake.only("connections", name)
        assert connection["namespaceDefinition"] == "custom_format"
        assert connection["namespaceFormat"] == schema
        assert connection["schedule"] == {"scheduleType": "manual"}
        streams = connection["configurations"]["streams"]
        assert [stream["name"] for stream in streams] == list(STREAM_NAMES)
        assert all(stream == {"name": stream["name"], "namespace": "public", "syncMode": mode} for stream in streams)
    destination = fake.only("destinations", "dvd_rental")["configuration"]
    assert destination["host"] == "org-account.snowflakecomputing.com"
    assert destination["credentials"]["auth_type"] == "Key Pair Authentication"
    assert destination["credentials"]["private_key_password"] == "the-passphrase"
    assert destination["cdc_deletion_mode"] == "Hard delete"
    assert destination["number_data_type"] == "NUMBER(38,9)"


def test_local_json_appends_every_version_by_one_connection(provision: Provision, fake: Fake) -> None:
    provision(destination=AirbyteDestination.LOCAL_JSON).apply(_silent)
    assert fake.only("destinations", "dvd_rental")["definitionId"] == LOCAL_JSON
    (connection,) = fake.rows["connections"].values()
    assert {stream["syncMode"] for stream in connection["configurations"]["streams"]} == {"incremental_append"}
    assert connection["namespaceDefinition"] == "destination"


def test_postgres_is_named_by_its_connection_string(provision: Provision, fake: Fake) -> None:
    provision(destination=AirbyteDestination.POSTGRES, history=False).apply(_silent)
    configuration = fake.only("destinations", "dvd_rental")["configuration"]
    assert (configuration["host"], configuration["port"]) == ("warehouse.example", 5432)
    assert configuration["password"] == "the-warehouse-password"
    assert len(fake.rows["connections"]) == 1


def test_a_schedule_of_five_minutes_is_quartz(provision: Provision, fake: Fake) -> None:
    provision(schedule="cron").apply(_silent)
    schedule = fake.only("connections", "dvd_rental")["schedule"]
    assert schedule == {"scheduleType": "cron", "cronExpression": "0 */5 * * * ?"}


def _configuration(fake: Fake, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = fake.only(kind, "dvd_rental")["configuration"]
    return found


def _change_host(fake: Fake) -> None:
    _configuration(fake, "sources")["host"] = "elsewhere.example"


def _change_slot(fake: Fake) -> None:
    _configuration(fake, "sources")["replication_method"]["replication_slot"] = "other_slot"


def _lose_the_password(fake: Fake) -> None:
    del _configuration(fake, "sources")["password"]


def _add_an_option(fake: Fake) -> None:
    _configuration(fake, "destinations")["jdbc_url_params"] = "token=not-to-be-shown"


def _change_a_mode(fake: Fake) -> None:
    fake.only("connections", "dvd_rental")["configurations"]["streams"][3]["syncMode"] = "full_refresh_overwrite"


def _drop_a_stream(fake: Fake) -> None:
    del fake.only("connections", "dvd_rental")["configurations"]["streams"][3]


def _pause(fake: Fake) -> None:
    fake.only("connections", "dvd_rental")["status"] = "inactive"


def _schedule(fake: Fake) -> None:
    schedule = {"scheduleType": "cron", "cronExpression": "0 0 * * * ?"}
    fake.only("connections", "dvd_rental")["schedule"] = schedule


DRIFTS = {
    "host": _change_host,
    "replication_method.replication_slot": _change_slot,
    "password": _lose_the_password,
    "jdbc_url_params": _add_an_option,
    "streams.public.city": _change_a_mode,
    "streams.public.city ": _drop_a_stream,
    "status": _pause,
    "schedule": _schedule,
}


@pytest.mark.parametrize(("field", "drift"), DRIFTS.items(), ids=DRIFTS)
def test_a_drift_is_shown_by_plan_and_mended_by_apply_alone(
    provision: Provision, fake: Fake, run: Callable[..., tuple[int, str]], field: str, drift: Callable[[Fake], None]
) -> None:
    provision().apply(_silent)
    drift(fake)
    before, written = json.dumps(fake.rows), len(fake.writes)
    code, shown = run("plan", "--check")
    assert code == 1
    assert re.search(rf"^    [-+~] {re.escape(field.strip())}: ", shown, re.MULTILINE)
    assert "not-to-be-shown" not in shown
    assert "To create: 0. To change: 1." in shown
    assert (json.dumps(fake.rows), len(fake.writes)) == (before, written)
    provision().apply(_silent)
    assert len(fake.writes) == written + 1
    assert provision().plan().is_empty


def test_the_streams_are_sent_only_where_they_differ(provision: Provision, fake: Fake) -> None:
    """With them the server looks into the source, for minutes."""
    provision().apply(_silent)
    _pause(fake)
    provision().apply(_silent)
    _change_a_mode(fake)
    provision().apply(_silent)
    assert ["configurations" in body for _, _, body in fake.asked("PATCH")] == [False, True]


def test_an_older_server_that_tells_no_namespaces_is_as_wanted(provision: Provision, fake: Fake) -> None:
    provision().apply(_silent)
    for connection in fake.rows["connections"].values():
        for name in ("namespaceDefinition", "namespaceFormat", "prefix", "nonBreakingSchemaUpdatesBehavior"):
            del connection[name]
        for stream in connection["configurations"]["streams"]:
            del stream["namespace"]
    assert provision().plan().is_empty


@pytest.mark.parametrize("kind", ["sources", "destinations", "connections"])
@pytest.mark.parametrize("fault", ["reset", "reset after", "500", "500 after", "429", "401"])
def test_a_fault_in_the_middle_of_an_apply_makes_nothing_twice(
    provision: Provision, fake: Fake, kind: str, fault: str
) -> None:
    problem = {"errorId": "00000000-0000-0000-0000-000000000000"}
    after = fault.endswith("after")
    what: Answer | Silence = Silence(ends=True, after=after)
    if not fault.startswith("reset"):
        status = int(fault.split(maxsplit=1)[0])
        what = Answer(status, {"message": "rate limited"} if status == 429 else problem, after=after)
    fake.fail("POST", f"/{kind}", what)
    wanted = provision()
    if (kind, fault) == ("connections", "reset"):  # the server can still be at work on it
        with pytest.raises(AirbyteUncertainError):
            wanted.apply(_silent)
        assert fake.rows["connections"] == {}
    wanted.apply(_silent)
    assert {name: len(rows) for name, rows in fake.rows.items()} == {
        "workspaces": 1, "sources": 2, "destinations": 1, "connections": 2,
    }  # fmt: skip


def test_an_apply_that_failed_goes_on_where_it_stopped(provision: Provision, fake: Fake) -> None:
    problem = {"status": 400, "type": "x", "title": "bad-request", "data": {"message": "The slot is in use."}}
    fake.fail("POST", "/connections", Answer(400, problem))
    with pytest.raises(AirbyteRefusedError, match="The slot is in use"):
        provision().apply(_silent)
    plan = provision().plan()
    assert (plan.count(Action.KEEP), plan.count(Action.CREATE)) == (3, 2)
    provision().apply(_silent)
    assert provision().plan().is_empty


def test_a_server_that_forgets_what_it_took_is_an_error(provision: Provision, fake: Fake) -> None:
    provision().apply(_silent)
    _change_host(fake)
    fake.deaf.add("sources")
    with pytest.raises(ProvisioningError, match="source dvd_rental: host"):
        provision().apply(_silent)


def test_a_name_that_two_things_have_is_an_error(provision: Provision, fake: Fake) -> None:
    provision().apply(_silent)
    fake.rows["sources"]["another"] = {
        **fake.only("sources", "dvd_rental"),
        "sourceId": "11111111-1111-1111-1111-111111111111",
    }
    with pytest.raises(ProvisioningError, match="2 sources called dvd_rental"):
        provision().plan()


def test_a_thing_of_another_type_is_not_taken_for_ours(provision: Provision, fake: Fake) -> None:
    provision().apply(_silent)
    fake.only("sources", "dvd_rental")["sourceType"] = "mysql"
    with pytest.raises(ProvisioningError, match="mysql, not postgres"):
        provision().plan()


def test_a_connection_that_reads_something_else_is_not_taken_for_ours(provision: Provision, fake: Fake) -> None:
    provision().apply(_silent)
    fake.only("connections", "dvd_rental")["sourceId"] = "11111111-1111-1111-1111-111111111111"
    with pytest.raises(ProvisioningError, match="connection dvd_rental"):
        provision().plan()


def test_a_workspace_has_to_be_named_where_there_are_several(provision: Provision, fake: Fake) -> None:
    second = fake.add_workspace("Second")
    with pytest.raises(ProvisioningError, match="DVD_RENTAL_AIRBYTE_WORKSPACE_ID"):
        provision()
    provision(workspace_id=second).apply(_silent)
    assert {row["workspaceId"] for row in fake.rows["sources"].values()} == {second}


def test_secrets_are_written_again_only_when_that_is_asked_for(provision: Provision, fake: Fake) -> None:
    provision().apply(_silent)
    _configuration(fake, "sources")["password"] = "an-old-password"
    assert provision().plan().is_empty
    provision().apply(_silent, secrets=True)
    assert _configuration(fake, "sources")["password"] == "the-role-password"
    assert [method for method, _, _ in fake.writes[5:]] == ["PUT", "PUT", "PUT"]


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
    assert f"cannot use {MASK} or " in told.replace("the-role-password", MASK)
    for secret in set(SECRETS) - {"the-role-password", "the-tunnel-key-line-one", "the-warehouse-password"}:
        assert secret not in told
    for secret in (*SECRETS, *fake.tokens):
        assert secret not in shown + caplog.text


def test_destroy_asks_first_and_deletes_what_is_ours_alone(fake: Fake, run: Callable[..., tuple[int, str]]) -> None:
    run("apply", name="theirs")
    run("apply")
    before = len(fake.writes)
    code, told = run("destroy", entered="n\n")
    assert (code, len(fake.writes)) == (1, before)
    assert "- connection dvd_rental_history" in told
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


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"tunnel_user": None}, "TUNNEL_USER"),
        ({"tunnel_password": SecretStr("word")}, "TUNNEL_PASSWORD"),
        ({"source_ssl_mode": "verify-full"}, "SOURCE_CA_FILE"),
        ({"tunnel_key_file": Path("/no/such/key")}, "TUNNEL_KEY_FILE"),
        ({"destination": AirbyteDestination.POSTGRES, "postgres_url": None}, "POSTGRES_URL"),
    ],
)
def test_a_setting_that_is_missing_is_named(provision: Provision, changes: dict[str, Any], setting: str) -> None:
    with pytest.raises(SettingsError, match=f"DVD_RENTAL_AIRBYTE_{setting}"):
        provision(**changes)


def test_a_source_behind_a_socket_needs_a_host(client: AirbyteClient, wanted_settings: Callable[..., Settings]) -> None:
    url = "postgresql://airbyte:word@/dvdrental?host=%2Ftmp"
    with pytest.raises(SettingsError, match="DVD_RENTAL_AIRBYTE_SOURCE_HOST"):
        provisioning(client, wanted_settings(), url)
    found = provisioning(client, wanted_settings(source_host="host.docker.internal"), url)
    assert found.wanted.sources[0].configuration["host"] == "host.docker.internal"


def test_a_stream_that_the_catalog_renames_is_refused(
    client: AirbyteClient, wanted_settings: Callable[..., Settings]
) -> None:
    settings = wanted_settings()
    settings.__dict__["streams"] = (Stream("client", ("id",), table="customer"),)
    with pytest.raises(SettingsError, match=r"public\.customer"):
        provisioning(client, settings, URL)


def test_every_setting_comes_from_the_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.airbyte == AirbyteSettings()
    monkeypatch.setenv("DVD_RENTAL_AIRBYTE_CLIENT_ID", "an-id")
    monkeypatch.setenv("DVD_RENTAL_AIRBYTE_CLIENT_SECRET", "")
    monkeypatch.setenv("DVD_RENTAL_AIRBYTE_TUNNEL_PORT", "2222")
    monkeypatch.setenv("DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_FILE", "~/key.p8")
    read = Settings(_env_file=None)
    assert (read.airbyte.client_id, read.airbyte.client_secret) == ("an-id", None)
    assert read.airbyte.tunnel_port == 2222
    assert read.snowflake.private_key_file == Path("~/key.p8").expanduser()
