"""The code location: what it holds, and what it takes to load it."""

import json
import shutil
import socket
from collections.abc import Iterator
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

pytestmark = pytest.mark.xdist_group("definitions")

_PARSE_TWICE_AND_AFTER_A_CHANGE = """
import pathlib, sys
from dvd_rental_dagster.settings import load_settings
from dvd_rental_dagster.transformation import project

project.DBT_PATH = pathlib.Path(sys.argv[1])
settings = load_settings()
project.manifest(settings)
parsed = (project.target_path(settings) / "manifest.json").stat().st_mtime_ns
project.manifest(settings)
assert (project.target_path(settings) / "manifest.json").stat().st_mtime_ns == parsed
(project.DBT_PATH / "models" / "reports" / "rpt_new.sql").write_text("select 1 as one")
assert "model.dvd_rental.rpt_new" in project.manifest(settings)["nodes"]
"""
OFFLINE = Path(__file__).with_name("offline.py")


@pytest.fixture(scope="module")
def parsed_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with dbt's manifest and nothing else, parsed in a process of its own."""
    home = Home(tmp_path_factory.mktemp("parsed") / "home", {})
    home.run("python", "-c", "import dvd_rental_dagster.definitions")
    yield home
    home.remove()


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


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A place to which everybody connects who connects at all: the kernel takes them in, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening


def address(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def assert_heard_nobody(listener: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize(  # the warehouses that have one manifest
    "warehouses", [set(Warehouse) - {Warehouse.SNOWFLAKE}, {Warehouse.SNOWFLAKE}], ids=["duckdb", "snowflake"]
)
def test_it_loads_with_sockets_blocked_and_writes_nothing_but_dbts_manifest(
    empty_home: Home, warehouses: set[Warehouse], graph: AssetGraph, listener: socket.socket
) -> None:
    """dagster#14157: the vendor's API was called on every load. Whatever is chosen, keys and checks are the same."""
    if Warehouse.SNOWFLAKE in warehouses and find_spec("dagster_snowflake") is None:
        pytest.skip("the extra for Snowflake is not installed")
    assets = sorted(key.to_user_string() for key in graph.get_all_asset_keys())
    checks = sorted(f"{key.asset_key.to_user_string()} {key.name}" for key in graph.asset_check_keys)
    at, url = address(listener), f"postgresql://nobody@{address(listener)}/nothing"
    somewhere = {
        "SOURCE_URL": url, "WAREHOUSE_URL": url, "AIRBYTE_URL": f"http://{at}",
        "SNOWFLAKE_ACCOUNT": "org-account", "SNOWFLAKE_USER": "ADA", "SNOWFLAKE_PROTOCOL": "http",
        "SNOWFLAKE_HOST": at.split(":")[0], "SNOWFLAKE_PORT": at.split(":")[1],
    }  # fmt: skip
    home = Home(empty_home.path, {f"DVD_RENTAL_{name}": value for name, value in somewhere.items()})
    engines = [engine for engine in Engine if engine is not Engine.AIRBYTE or find_spec("dagster_airbyte")]
    combinations = [f"{engine}/{warehouse}" for engine, warehouse in product(engines, sorted(warehouses))]
    printed = home.run("python", str(OFFLINE), "load", *combinations).stdout.splitlines()
    told = [json.loads(line) for line in printed if line.startswith("{")]
    assert [each["combination"] for each in told] == combinations
    for each in told:
        assert each["tried"] == [], each["combination"]
        assert each["checks"] == checks, each["combination"]
        assert each["assets"] == assets, each["combination"]
    assert_heard_nobody(listener)
    assert {path.name for path in home.path.iterdir()} <= {"dbt", "logs"}


def test_what_blocks_sockets_stops_every_way_to_a_server(empty_home: Home, listener: socket.socket) -> None:
    """Those through libpq too, of which Python's sockets know nothing."""
    printed = empty_home.run("python", str(OFFLINE), "connect", address(listener)).stdout
    ways = ["session", "replication", "bulk session", "warehouse", "server of Airbyte", "name"]
    assert printed.splitlines() == ways
    assert_heard_nobody(listener)


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


def test_a_project_that_changed_is_parsed_anew(own_parsed_home: Home) -> None:
    copied = own_parsed_home.path.parent / "dbt"
    shutil.copytree(PROJECT_ROOT / "dbt", copied)
    own_parsed_home.run("python", "-c", _PARSE_TWICE_AND_AFTER_A_CHANGE, str(copied))


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
