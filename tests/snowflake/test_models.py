"""What dbt makes of the models for Snowflake, compiled without an account."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from dvd_rental_dagster.answers import QUESTIONS
from dvd_rental_dagster.settings import PROJECT_ROOT

# dbt asks the account one thing to compile a model: whether an incremental one stands already.
_COMPILE = """
import json, sys
from dbt.adapters.snowflake import SnowflakeAdapter
from dvd_rental_dagster.settings import load_settings
from dvd_rental_dagster.transformation import project

def get_relation(self, database, schema, identifier):
    if not standing:
        return None
    return self.Relation.create(database=database, schema=schema, identifier=identifier, type="table")

def compile(settings, *selection):
    return project.invoke(settings, ["compile", "--no-introspect", "--no-populate-cache", *selection])

SnowflakeAdapter.get_relation = get_relation
settings = load_settings()
project.keep_manifest(settings)
runs = {}
for run, standing in (("first", False), ("later", True)):
    results = compile(settings).results
    runs[run] = {result.node.name: result.node.compiled_code for result in results}
models = [result.node for result in results if result.node.resource_type == "model"]
runs["configured"] = {model.name: model.config.to_dict() for model in models}

developer = settings.model_copy(update={"snowflake_schema": "ADA"})
project._kept[project._state(developer)] = project._kept[project._state(settings)]
place = compile(developer, "--inline", "{{ generate_schema_name('marts', none) }} {{ source('raw', 'film').schema }}")
runs["developer"] = place.results[0].node.compiled_code.split()
json.dump(runs, sys.stdout)
"""

pytestmark = pytest.mark.xdist_group("snowflake")

# Words that Snowflake takes for no column or table (its documentation, "Reserved & limited keywords").
RESERVED = frozenset(
    """
    account all alter and any as between by case cast check column connect connection constraint create cross
    current current_date current_time current_timestamp current_user database delete distinct drop else exists
    false following for from full grant group gscluster having ilike in increment inner insert intersect into is
    issue join lateral left like localtime localtimestamp minus natural not null of on or order organization
    qualify regexp revoke right rlike row rows sample schema select set some start table tablesample then to
    trigger true try_cast union unique update using values view when whenever where with
    """.split()  # noqa: SIM905  # a hundred lines otherwise
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process makes that knows an account by name only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DVD_RENTAL_")}
    environment = {
        **kept, "DVD_RENTAL_HOME": str(tmp_path_factory.mktemp("compiled")), "DVD_RENTAL_WAREHOUSE": "snowflake",
        "DVD_RENTAL_SNOWFLAKE_ACCOUNT": "none", "DVD_RENTAL_SNOWFLAKE_USER": "nobody",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _COMPILE], env=environment, cwd=PROJECT_ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])  # dbt prints what it compiles inline
    return runs


@pytest.fixture(scope="module")
def configured(compiled: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """How every model is made, by its name."""
    configured: dict[str, dict[str, Any]] = compiled["configured"]
    return configured


@pytest.fixture(scope="module")
def first(compiled: dict[str, Any]) -> dict[str, str]:
    """The SQL of every model and test by its name, as on the first run."""
    sql: dict[str, str] = compiled["first"]
    return sql


@pytest.fixture(scope="module")
def later(compiled: dict[str, Any]) -> dict[str, str]:
    """The same on a later run, when the facts stand."""
    sql: dict[str, str] = compiled["later"]
    return sql


def statements(*runs: Mapping[str, str]) -> Iterator[tuple[str, exp.Expression]]:
    for run in runs:
        for name, text in run.items():
            yield name, sqlglot.parse_one(text, dialect="snowflake")


def test_every_model_and_test_is_snowflakes_sql(first: dict[str, str], later: dict[str, str]) -> None:
    models = {path.stem for path in (PROJECT_ROOT / "dbt" / "models").rglob("*.sql")}
    assert models < first.keys()
    assert len(first) > 100
    for name, statement in statements(first, later):
        assert isinstance(statement, exp.Query), name


def test_every_function_is_one_that_snowflake_has(first: dict[str, str], later: dict[str, str]) -> None:
    unknown = {
        call.name.lower() for _, statement in statements(first, later) for call in statement.find_all(exp.Anonymous)
    }
    assert unknown == set()


def test_no_name_is_a_reserved_word(first: dict[str, str], later: dict[str, str]) -> None:
    for name, statement in statements(first, later):
        identifiers = {identifier.name.lower() for identifier in statement.find_all(exp.Identifier)}
        assert not identifiers & RESERVED, name


def test_no_name_is_quoted_so_that_case_never_matters(first: dict[str, str], later: dict[str, str]) -> None:
    for name, statement in statements(first, later):
        assert not any(identifier.args.get("quoted") for identifier in statement.find_all(exp.Identifier)), name


def test_no_type_hangs_on_a_parameter_of_the_account(first: dict[str, str], later: dict[str, str]) -> None:
    for name, text in [*first.items(), *later.items()]:
        assert " as timestamp)" not in text, name
        assert "date_trunc('week'" not in text, name


def test_the_questions_of_the_demo_are_snowflakes_sql() -> None:
    for question in QUESTIONS:
        statement = sqlglot.parse_one(question.asked_of("reports"), dialect="snowflake")
        identifiers = {identifier.name.lower() for identifier in statement.find_all(exp.Identifier)}
        assert not identifiers & RESERVED, question.words
        assert not list(statement.find_all(exp.Anonymous)), question.words


def test_the_project_builds_in_the_schemas_that_all_share(first: dict[str, str]) -> None:
    assert "DVD_RENTALS.marts.fct_payment" in first["rpt_revenue_daily"]
    assert "DVD_RENTALS.raw.payment" in first["stg_payment"]


def test_a_developer_reads_what_is_loaded_and_builds_apart(compiled: dict[str, Any]) -> None:
    assert compiled["developer"] == ["ADA_marts", "raw"]


def test_no_fail_safe_is_paid_for_what_can_be_built_again(configured: dict[str, dict[str, Any]]) -> None:
    tables = {name: config for name, config in configured.items() if config["materialized"] != "view"}
    assert tables.keys() == {name for name in configured if not name.startswith("stg_")}
    assert {name for name, config in tables.items() if config["transient"] is not True} == set()


def test_the_big_facts_are_clustered_by_their_day(configured: dict[str, dict[str, Any]], first: dict[str, str]) -> None:
    clustered = {name: config["cluster_by"] for name, config in configured.items() if config.get("cluster_by")}
    assert clustered == {"fct_payment": ["paid_on"], "fct_rental": ["rented_on"]}
    for name, [day] in clustered.items():
        assert day in sqlglot.parse_one(first[name], dialect="snowflake").named_selects


@pytest.mark.parametrize("fact", ["fct_payment", "fct_rental", "fct_inventory"])
def test_a_fact_that_stands_reads_only_what_changed_since_its_watermark(
    first: dict[str, str], later: dict[str, str], fact: str
) -> None:
    assert "history." not in first[fact]
    assert (
        f"max(synced_at), cast('1970-01-01 00:00:00+00' as timestamp_tz)) from DVD_RENTALS.marts.{fact}" in later[fact]
    )
