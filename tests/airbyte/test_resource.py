"""What the streams' assets are given to reach Airbyte."""

import math
import sys
from importlib.util import find_spec
from typing import Any
from uuid import UUID

import pytest
from dagster import (
    AssetSelection,
    BetaWarning,
    DagsterInstance,
    Definitions,
    ResourceDefinition,
    build_asset_context,
    build_init_resource_context,
)
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value
from fake import CLIENT_ID, CLIENT_SECRET
from pipeline import Pipeline
from pydantic import SecretStr
from runs import delete_a_payment

from dvd_rental_dagster.airbyte.address import address
from dvd_rental_dagster.airbyte.authentication import Application, User
from dvd_rental_dagster.airbyte.server import Server, chosen_server
from dvd_rental_dagster.assets.ingestion import ingestion_assets
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.resources import airbyte_keys, resources, server
from dvd_rental_dagster.settings import load_settings

pytestmark = [
    pytest.mark.skipif(find_spec("dagster_airbyte") is None, reason="the extra for Airbyte is not installed"),
    pytest.mark.xdist_group("airbyte faults"),
]

WORKSPACE = "0d7ea4f5-3b1c-4f1e-9d6f-8e0a1d2c3b4a"
APPLICATION = {"CLIENT_ID": "an-id", "CLIENT_SECRET": "a-secret"}
SERVERS: dict[str, tuple[dict[str, str], str, Application | User | None]] = {
    "an application on a server of one's own": (
        {"URL": "https://air.example/in", **APPLICATION}, "AirbyteWorkspace",
        Application("an-id", SecretStr("a-secret")),
    ),
    "a user": (
        {"URL": "http://localhost:8000", "USERNAME": "ada", "PASSWORD": "word"}, "AirbyteWorkspace",
        User("ada", SecretStr("word")),
    ),
    "nobody": ({}, "AirbyteWorkspace", None),
    "Cloud": (
        {"URL": "https://api.airbyte.com", **APPLICATION}, "AirbyteCloudWorkspace",
        Application("an-id", SecretStr("a-secret")),
    ),
}  # fmt: skip


def choose(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    monkeypatch.setenv("DVD_RENTAL_ENGINE", "airbyte")
    for name, value in values.items():
        monkeypatch.setenv(f"DVD_RENTAL_AIRBYTE_{name}", value)


def workspace() -> Any:
    """The resource, as a step gets it."""
    return resources(load_settings())["airbyte"].resource_fn(build_init_resource_context())


def read_back(made: Any) -> Server:
    """The server that the assets read out of the resource."""
    with build_asset_context(resources={"airbyte": ResourceDefinition.hardcoded_resource(made)}) as context:
        return server(context)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(("values", "kind", "who"), SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("workspace_id", [WORKSPACE, ""])
def test_the_assets_read_out_of_dagster_s_resource_what_the_settings_say(
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, str],
    kind: str,
    who: Application | User | None,
    workspace_id: str,
) -> None:
    choose(monkeypatch, **values, WORKSPACE_ID=workspace_id, SYNC_LIMIT_SECONDS="77", CANCEL="true")
    made = workspace()
    assert type(made).__name__ == kind
    assert made.workspace_id == workspace_id
    assert made.poll_previous_running_sync
    expected = Server(
        address(values.get("URL", "http://localhost:8000")),
        who,
        UUID(workspace_id) if workspace_id else None,
        77,
        cancel=True,
    )
    assert read_back(made) == chosen_server(load_settings().airbyte) == expected


@pytest.mark.usefixtures("settings")
def test_a_resource_without_a_limit_waits_for_as_long_as_a_sync_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch)
    made = workspace().model_copy(update={"poll_timeout": None})
    assert read_back(made).sync_limit_seconds == math.inf


@pytest.mark.usefixtures("settings")
def test_nothing_that_the_definitions_tell_dagster_holds_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, CLIENT_ID=CLIENT_ID, CLIENT_SECRET=CLIENT_SECRET)
    chosen = load_settings()
    defined = Definitions(assets=[ingestion_assets(chosen)], resources=resources(chosen))
    told = serialize_value(RepositorySnap.from_def(defined.get_repository_def()))
    assert "DVD_RENTAL_AIRBYTE_*" in told
    assert CLIENT_SECRET not in told


def test_the_streams_speak_to_the_server_of_the_resource_wherever_the_settings_point(
    pipeline: Pipeline, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_airbyte import AirbyteWorkspace  # noqa: PLC0415  # an extra

    found = address(load_settings().airbyte.url)
    monkeypatch.setenv("DVD_RENTAL_AIRBYTE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("DVD_RENTAL_AIRBYTE_WORKSPACE_ID", WORKSPACE)
    with pytest.warns(BetaWarning):
        given = AirbyteWorkspace(
            rest_api_base_url=found.public, configuration_api_base_url=found.configuration,
            workspace_id=next(iter(pipeline.fake.rows["workspaces"])),
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET,
        )  # fmt: skip
    streams = ingestion_assets(load_settings())
    defined = Definitions(assets=[streams], resources={"airbyte": ResourceDefinition.hardcoded_resource(given)})
    delete_a_payment(pipeline)
    jobs = len(pipeline.fake.jobs)
    job = defined.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=AssetSelection.groups("raw").resolve([streams]), asset_check_selection=frozenset()
    )
    assert job.execute_in_process(instance=instance).success
    assert len(pipeline.fake.jobs) == jobs + 1


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    "values",
    [
        {"URL": "https://api.airbyte.com"},
        {"URL": "https://api.airbyte.com", "USERNAME": "ada", "PASSWORD": "word"},
        {"CLIENT_ID": "an-id"},
    ],
    ids=["Cloud and nobody", "Cloud and a user", "half an application"],
)
def test_credentials_that_do_not_suit_are_told_when_the_definitions_load(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str]
) -> None:
    choose(monkeypatch, **values)
    with pytest.raises(SettingsError, match="DVD_RENTAL_AIRBYTE_CLIENT_SECRET"):
        resources(load_settings())


@pytest.mark.usefixtures("settings")
def test_an_extra_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch)
    monkeypatch.setitem(sys.modules, "dagster_airbyte", None)
    with pytest.raises(SettingsError, match=r"pip install 'dvd-rental-dagster\[airbyte\]'"):
        resources(load_settings())


@pytest.mark.usefixtures("settings")
def test_without_airbyte_there_is_no_resource() -> None:
    assert resources(load_settings()) == {}
    assert airbyte_keys(load_settings()) == set()
