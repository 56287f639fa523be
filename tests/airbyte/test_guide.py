"""The ways from nothing to a running pipeline, as the guide leads them."""

import re
from pathlib import Path

import pytest
from fake import Fake
from wishes import silent

from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.server import chosen_server, provisioning
from dvd_rental_dagster.settings import PROJECT_ROOT, Engine, Settings, Warehouse
from dvd_rental_dagster.source.endpoint import source_url

GUIDE = (PROJECT_ROOT / "docs" / "airbyte.md").read_text()
COMMON, *_WAYS = re.split(
    r"^### ", re.split(r"^## ", GUIDE.partition("\n## From nothing")[2], flags=re.MULTILINE)[0], flags=re.MULTILINE
)
WAYS = {way.partition("\n")[0]: way for way in _WAYS if "1. " in way}


def blocks(text: str, kind: str) -> list[str]:
    """The lines of every block of a kind, in order."""
    found = re.findall(rf"^ *```{kind}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in found for line in block.splitlines()]


def test_there_are_three_ways() -> None:
    assert list(WAYS) == ["On one machine, with abctl", "On EC2, behind an SSH tunnel", "On Cloud"]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_way_is_numbered_and_ends_in_a_run_and_a_question(way: str) -> None:
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", way, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    commands = [line.removeprefix(".venv/bin/dvd-rental ") for line in blocks(way, "console") if "dvd-rental" in line]
    assert commands[-5:-1] == ["airbyte prepare", "airbyte plan", "airbyte apply", "run"]
    assert commands[-1].startswith("query ")


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_settings_of_a_way_are_enough_for_the_graph_and_for_an_apply(
    settings: Settings, client: AirbyteClient, fake: Fake, tmp_path: Path, way: str
) -> None:
    del settings  # by which no setting of the machine is left in the environment
    lines = [line.replace("~/", f"{tmp_path}/") for line in blocks(COMMON, "ini") + blocks(way, "ini")]
    for path in re.findall(rf"=({re.escape(str(tmp_path))}/\S+)", "\n".join(lines)):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text("-----BEGIN-----\nlines of a key or a certificate\n-----END-----\n")
    (tmp_path / ".env").write_text("\n".join(lines))
    read = Settings(_env_file=tmp_path / ".env", home=tmp_path / "home")
    assert (read.engine, read.warehouse) == (Engine.AIRBYTE, Warehouse.SNOWFLAKE)
    assert read.snowflake_user != read.airbyte.snowflake_user
    server = chosen_server(read.airbyte)
    assert server.who is not None
    assert server.address.is_cloud == way.startswith("On Cloud")

    wanted = provisioning(client, read, source_url(read, "airbyte"))
    wanted.apply(silent)

    assert wanted.plan().is_empty
    for source in fake.rows["sources"].values():
        assert source["configuration"]["username"] == "airbyte"
        assert source["configuration"]["tunnel_method"]["tunnel_method"] == "SSH_KEY_AUTH"
