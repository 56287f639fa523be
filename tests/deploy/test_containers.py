"""The compose file and what belongs to it, checked without a Docker engine."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from dvd_rental_dagster.settings import PROJECT_ROOT, Settings

COMPOSE = PROJECT_ROOT / "docker-compose.yml"
EXAMPLE = (PROJECT_ROOT / ".env.example").read_text()


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return loaded


def listed_settings() -> set[str]:
    return set(re.findall(r"^# (DVD_RENTAL_[A-Z_]+)=", EXAMPLE, re.MULTILINE))


def test_the_example_lists_every_setting() -> None:
    assert {f"DVD_RENTAL_{name.upper()}" for name in Settings.model_fields} <= listed_settings()


def test_the_example_shows_the_defaults() -> None:
    shown = dict(re.findall(r"^# DVD_RENTAL_([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    for name in ("engine", "warehouse", "scale", "seed", "role", "publication", "slot", "max_slot_wal_keep_size"):
        assert shown[name.upper()] == str(Settings.model_fields[name].default), name


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE.read_text()))
    assert used <= listed_settings()


def test_nothing_is_published_beyond_loopback(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_lasting_service_has_a_health_check(services: dict[str, Any]) -> None:
    image_checks_itself = "HEALTHCHECK" in (PROJECT_ROOT / "Dockerfile").read_text()
    for name, service in services.items():
        assert "healthcheck" in service or ("build" in service and image_checks_itself), name


def test_images_are_pinned_to_a_version(services: dict[str, Any]) -> None:
    for service in services.values():
        assert re.search(r":\d+\.\d+", service["image"]), service["image"]


def test_the_source_replicates_logically_and_bounds_its_slots(services: dict[str, Any]) -> None:
    command = " ".join(services["source"]["command"])
    assert "wal_level=logical" in command
    assert "max_slot_wal_keep_size=" in command
    assert services["source"]["image"].startswith("postgres:16")


def test_there_is_exactly_one_daemon(services: dict[str, Any]) -> None:
    daemons = [name for name, service in services.items() if "dagster-daemon" in service.get("command", [])]
    assert daemons == ["daemon"]


def test_pgadmin_knows_the_source_and_no_password() -> None:
    text = (PROJECT_ROOT / "deploy" / "docker" / "servers.json").read_text()
    server = json.loads(text)["Servers"]["1"]
    assert (server["Host"], server["Port"], server["Username"]) == ("source", 5432, "dvdrental")
    assert not {key for key in server if "pass" in key.lower()}


def test_the_image_runs_as_nobody_special_and_checks_its_hashes() -> None:
    dockerfile = (PROJECT_ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER \d+$", dockerfile, re.MULTILINE)
    assert "--require-hashes" in dockerfile
    assert re.search(r"CMD \[", dockerfile)


def test_compose_itself_accepts_the_file(tmp_path: Any) -> None:
    compose = shutil.which("docker-compose")
    if (
        compose is None
        or "v2" not in subprocess.run([compose, "version"], capture_output=True, text=True, check=False).stdout
    ):
        pytest.skip("docker-compose v2 is not installed")
    environment = tmp_path / "env"
    names = ("POSTGRES_PASSWORD", "ROLE_PASSWORD", "PGADMIN_PASSWORD")
    environment.write_text("".join(f"DVD_RENTAL_{name}=x\n" for name in names))
    subprocess.run([compose, "-f", COMPOSE, "--env-file", environment, "config", "-q"], check=True)
