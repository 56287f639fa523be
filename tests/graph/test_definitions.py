"""The code location: what it holds, and what it takes to load it."""

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import AssetKey, Definitions
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from home import Home

from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.settings import PROJECT_ROOT, Engine, Warehouse
from dvd_rental_dagster.transformation import project

pytestmark = pytest.mark.xdist_group("definitions")

OFFLINE = Path(__file__).with_name("offline.py")
OF_SNOWFLAKE = {Warehouse.SNOWFLAKE}  # those of one set have one manifest
OF_DUCKDB = set(Warehouse) - OF_SNOWFLAKE


@dataclass(frozen=True)
class Offline:
    """What a process told that could connect to nothing: of each combination of the switches, one JSON object."""

    home: Home
    told: dict[str, Any]
    files: set[str]
    was_heard_of: bool


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offline]:
    """All of them, loaded in an empty home; it has DuckDB's manifest afterwards."""
    with listening() as listener:
        at, url = address(listener), f"postgresql://nobody@{address(listener)}/nothing"
        somewhere = {
            "SOURCE_URL": url, "WAREHOUSE_URL": url, "AIRBYTE_URL": f"http://{at}",
            "SNOWFLAKE_ACCOUNT": "org-account", "SNOWFLAKE_USER": "ADA", "SNOWFLAKE_PROTOCOL": "http",
            "SNOWFLAKE_HOST": at.split(":")[0], "SNOWFLAKE_PORT": at.split(":")[1],
        }  # fmt: skip
        home = Home(
            tmp_path_factory.mktemp("parsed") / "home", {f"DVD_RENTAL_{name}": what for name, what in somewhere.items()}
        )
        chosen = combinations(OF_SNOWFLAKE) if find_spec("dagster_snowflake") else []
        printed = home.run("python", str(OFFLINE), "load", *chosen, *combinations(OF_DUCKDB)).stdout.splitlines()
        told = [json.loads(line) for line in printed if line.startswith("{")]
        files = {path.name for path in home.path.iterdir()}
        yield Offline(
            Home(home.path, {}), {each["combination"]: each for each in told}, files, heard_somebody(listener)
        )
        home.remove()


@pytest.fixture(scope="module")
def parsed_home(offline: Offline) -> Home:
    """A home with dbt's manifest and nothing else."""
    return offline.home


@pytest.fixture
def own_parsed_home(parsed_home: Home, tmp_path: Path) -> Iterator[Home]:
    """A copy of it for one test."""
    home = parsed_home.copy_to(tmp_path / "home")
    yield home
    home.remove()


@pytest.fixture(scope="module")
def graph(parsed_home: Home) -> AssetGraph:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DVD_RENTAL_HOME", str(parsed_home.path))
        from dvd_rental_dagster.definitions import defs  # noqa: PLC0415  # loads dbt's project

    loaded: Definitions = defs
    return loaded.get_repository_def().asset_graph


@pytest.fixture(scope="module")
def nodes(parsed_home: Home) -> list[dict[str, Any]]:
    """The models and tests of dbt's manifest."""
    return list(json.loads((parsed_home.path / "dbt" / "manifest.json").read_text())["nodes"].values())


def combinations(warehouses: set[Warehouse]) -> list[str]:
    """Of an engine and one of the warehouses, where what they need is installed."""
    engines = [engine for engine in Engine if engine is not Engine.AIRBYTE or find_spec("dagster_airbyte")]
    return [f"{engine}/{warehouse}" for engine, warehouse in product(engines, sorted(warehouses))]


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A place to which everybody connects who connects at all: the kernel takes them in, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


def address(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def heard_somebody(listener: socket.socket) -> bool:
    try:
        listener.accept()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("warehouses", [OF_DUCKDB, OF_SNOWFLAKE], ids=["duckdb", "snowflake"])
def test_it_loads_with_sockets_blocked_and_writes_nothing_but_dbts_manifest(
    warehouses: set[Warehouse], offline: Offline, graph: AssetGraph
) -> None:
    """dagster#14157: the vendor's API was called on every load. Whatever is chosen, keys and checks are the same."""
    if Warehouse.SNOWFLAKE in warehouses and find_spec("dagster_snowflake") is None:
        pytest.skip("the extra for Snowflake is not installed")
    assets = sorted(key.to_user_string() for key in graph.get_all_asset_keys())
    checks = sorted(f"{key.asset_key.to_user_string()} {key.name}" for key in graph.asset_check_keys)
    for combination in combinations(warehouses):
        told = offline.told[combination]
        assert told["tried"] == [], combination
        assert told["checks"] == checks, combination
        assert told["assets"] == assets, combination
    assert not offline.was_heard_of
    assert offline.files <= {"dbt", "logs"}


def test_what_blocks_sockets_stops_every_way_to_a_server(empty_home: Home) -> None:
    """Those through libpq too, of which Python's sockets know nothing."""
    with listening() as listener:
        printed = empty_home.run("python", str(OFFLINE), "connect", address(listener)).stdout
        assert not heard_somebody(listener)
    ways = ["session", "replication", "bulk session", "warehouse", "server of Airbyte", "name"]
    assert printed.splitlines() == ways


def test_dagsters_own_commands_accept_it(own_parsed_home: Home) -> None:
    own_parsed_home.run("dg", "check", "defs")
    own_parsed_home.run("dagster", "definitions", "validate", "-w", "workspace.yaml")


def test_every_asset_tells_its_group_kinds_owners_and_meaning(graph: AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.group_name in {"source", "raw", "history", "staging", "marts", "reports", "published"}, key
        assert node.kinds, key
        assert node.owners, key
        assert node.description, key


def test_every_computed_asset_links_to_its_code(graph: AssetGraph) -> None:
    for key in graph.materializable_asset_keys:
        assert "dagster/code_references" in graph.get(key).metadata, key


def test_the_lineage_reads_from_the_table_to_the_report(graph: AssetGraph) -> None:
    above: set[AssetKey] = set()
    waiting = [AssetKey(["reports", "rpt_revenue_daily"])]
    while waiting:
        for parent in graph.get(waiting.pop()).parent_keys - above:
            above.add(parent)
            waiting.append(parent)
    path = (["source", "payment"], ["raw", "payment"], ["staging", "stg_payment"], ["marts", "fct_payment"])
    assert {AssetKey(step) for step in path} <= above


def test_all_fifteen_streams_are_there_from_source_to_staging(graph: AssetGraph) -> None:
    for stream in STREAM_NAMES:
        assert graph.get(AssetKey(["raw", stream])).parent_keys == {AssetKey(["source", stream])}
        assert graph.get(AssetKey(["staging", f"stg_{stream}"])).parent_keys == {AssetKey(["raw", stream])}


def test_runs_that_write_share_a_pool_of_one() -> None:
    from dvd_rental_dagster.definitions import defs  # noqa: PLC0415

    job = defs.resolve_job_def("everything")
    writers = {"streams", "models", "published_warehouse"}
    assert {node.definition.pool for node in job.nodes if node.name in writers} == {"warehouse"}
    limits = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())["concurrency"]["pools"]
    assert limits == {"default_limit": 1, "granularity": "run"}


def test_a_project_that_changed_is_parsed_anew(own_parsed_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = own_parsed_home.path.parent / "dbt"
    shutil.copytree(PROJECT_ROOT / "dbt", copied)
    monkeypatch.setattr(project, "DBT_PATH", copied)
    with own_parsed_home.chosen() as settings:
        written = project.target_path(settings) / "manifest.json"
        parsed = written.stat().st_mtime_ns
        project.manifest(settings)
        assert written.stat().st_mtime_ns == parsed
        (copied / "models" / "reports" / "rpt_new.sql").write_text("select 1 as one")
        assert "model.dvd_rental.rpt_new" in project.manifest(settings)["nodes"]
        assert written.stat().st_mtime_ns > parsed


def test_every_dbt_test_is_a_check(graph: AssetGraph, nodes: list[dict[str, Any]]) -> None:
    tests = [node["name"] for node in nodes if node["resource_type"] == "test"]
    models = {"staging", "marts", "reports"}
    checks = [key.name for key in graph.asset_check_keys if key.asset_key.path[0] in models]
    assert sorted(checks) == sorted(tests)


def test_every_model_has_a_description_of_itself_and_of_every_column(nodes: list[dict[str, Any]]) -> None:
    for node in nodes:
        if node["resource_type"] == "model":
            assert node["description"], node["name"]
            assert node["columns"], node["name"]
            assert all(column["description"] for column in node["columns"].values()), node["name"]
            sql = PROJECT_ROOT / "dbt" / node["original_file_path"]
            assert sql.with_suffix(".yml").exists(), node["name"]
