"""What the settings ask for of each destination."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake import DEDUPED, LOCAL_JSON, Fake
from pydantic import SecretStr
from wishes import URL, Provision, silent

from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.plan import Action
from dvd_rental_dagster.airbyte.server import provisioning
from dvd_rental_dagster.catalog import STREAM_NAMES, Stream
from dvd_rental_dagster.errors import (
    SettingsError,
)
from dvd_rental_dagster.settings import AirbyteDestination, AirbyteSettings, Settings

LOCAL = AirbyteDestination.LOCAL_JSON


@pytest.mark.parametrize("destination", AirbyteDestination)
def test_after_an_apply_there_is_nothing_to_plan_and_a_second_changes_nothing(
    provision: Provision, fake: Fake, destination: AirbyteDestination
) -> None:
    wanted = provision(destination=destination, schedule="cron")
    assert {step.action for step in wanted.plan().steps} == {Action.CREATE}
    assert fake.writes == []
    wanted.apply(silent)
    made = len(fake.writes)
    assert made == (3 if destination is AirbyteDestination.LOCAL_JSON else 5)
    again = provision(destination=destination, schedule="cron")
    assert again.plan().is_empty
    assert again.apply(silent).is_empty
    assert len(fake.writes) == made


def test_snowflake_gets_the_current_state_and_every_version_through_slots_of_their_own(
    provision: Provision, fake: Fake
) -> None:
    provision().apply(silent)
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
    assert destination["role"] == "DVD_RENTALS_LOADER"
    assert destination["credentials"]["auth_type"] == "Key Pair Authentication"
    assert destination["credentials"]["private_key_password"] == "the-passphrase"
    assert destination["cdc_deletion_mode"] == "Hard delete"
    assert destination["number_data_type"] == "NUMBER(38,9)"


@pytest.mark.parametrize(("chosen", "role"), [(None, "DVD_RENTALS_LOADER"), ("THE_LOADERS", "THE_LOADERS")])
def test_snowflake_is_written_to_under_the_role_that_loads(
    client: AirbyteClient, wanted_settings: Callable[..., Settings], chosen: str | None, role: str
) -> None:
    settings = wanted_settings().model_copy(update={"snowflake_loader_role": chosen})
    assert provisioning(client, settings, URL).wanted.destination.configuration["role"] == role


def test_local_json_appends_every_version_by_one_connection(provision: Provision, fake: Fake) -> None:
    provision(destination=AirbyteDestination.LOCAL_JSON).apply(silent)
    assert fake.only("destinations", "dvd_rental")["definitionId"] == LOCAL_JSON
    (connection,) = fake.rows["connections"].values()
    assert {stream["syncMode"] for stream in connection["configurations"]["streams"]} == {"incremental_append"}
    assert connection["namespaceDefinition"] == "destination"


@pytest.mark.parametrize("destination", AirbyteDestination)
def test_a_full_refresh_is_a_connection_of_its_own_that_reads_no_log_and_overwrites_nobody_else_s_tables(
    provision: Provision, fake: Fake, destination: AirbyteDestination
) -> None:
    chosen: dict[str, Any] = {"destination": destination, "schedule": "cron"}
    provision(**chosen).apply(silent)
    others = json.dumps(fake.rows)
    made = len(fake.writes)
    chosen["full_refresh"] = True
    assert provision(**chosen).plan().count(Action.CREATE) == 2
    provision(**chosen).apply(silent)
    again = provision(**chosen)
    assert again.plan().is_empty
    assert again.apply(silent).is_empty
    assert len(fake.writes) == made + 2

    name = "dvd_rental_full_refresh"
    source = fake.only("sources", name)
    assert source["configuration"]["replication_method"] == {"method": "Standard"}
    assert source["configuration"]["tunnel_method"]["tunnel_method"] == "SSH_KEY_AUTH"
    connection = fake.only("connections", name)
    assert connection["sourceId"] == source["sourceId"]
    assert connection["schedule"] == {"scheduleType": "manual"}
    streams = connection["configurations"]["streams"]
    assert [stream["name"] for stream in streams] == list(STREAM_NAMES)
    assert {stream["syncMode"] for stream in streams} == {"full_refresh_overwrite"}
    places = [(row.get("namespaceFormat"), row["prefix"]) for row in fake.rows["connections"].values()]
    assert len(set(places)) == len(places)
    assert places[-1] == ((None, "full_refresh_") if destination is LOCAL else ("full_refresh", ""))
    del fake.rows["sources"][source["sourceId"]], fake.rows["connections"][connection["connectionId"]]
    assert json.dumps(fake.rows) == others


def test_postgres_is_named_by_its_connection_string(provision: Provision, fake: Fake) -> None:
    provision(destination=AirbyteDestination.POSTGRES, history=False).apply(silent)
    configuration = fake.only("destinations", "dvd_rental")["configuration"]
    assert (configuration["host"], configuration["port"]) == ("warehouse.example", 5432)
    assert configuration["password"] == "the-warehouse-password"
    assert len(fake.rows["connections"]) == 1


def test_a_schedule_of_five_minutes_is_quartz(provision: Provision, fake: Fake) -> None:
    provision(schedule="cron").apply(silent)
    schedule = fake.only("connections", "dvd_rental")["schedule"]
    assert schedule == {"scheduleType": "cron", "cronExpression": "0 */5 * * * ?"}


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"tunnel_user": None}, "TUNNEL_USER"),
        ({"tunnel_password": SecretStr("word")}, "TUNNEL_PASSWORD"),
        ({"source_ssl_mode": "verify-full"}, "SOURCE_CA_PATH"),
        ({"tunnel_key_path": Path("/no/such/key")}, "TUNNEL_KEY_PATH"),
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
    monkeypatch.setenv("DVD_RENTAL_AIRBYTE_SNOWFLAKE_PRIVATE_KEY_PATH", "~/key.p8")
    read = Settings(_env_file=None)
    assert (read.airbyte.client_id, read.airbyte.client_secret) == ("an-id", None)
    assert read.airbyte.tunnel_port == 2222
    assert read.airbyte.snowflake_private_key_path == Path("~/key.p8").expanduser()
