"""The same rows give the same reports on DuckDB and on Snowflake's emulator: on the first run, and after changes."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
import sqlglot
from emulation import Emulator
from sqlglot import exp

from dvd_rental_dagster.settings import PROJECT_ROOT
from dvd_rental_dagster.snowflake.account import execute
from dvd_rental_dagster.snowflake.bootstrap import Layout, bootstrap

pytestmark = [
    pytest.mark.skipif(not os.environ.get("DVD_RENTAL_TEST_LONG"), reason="takes minutes: DVD_RENTAL_TEST_LONG=1"),
    pytest.mark.xdist_group("snowflake"),
]

REPORTS = sorted(path.stem for path in (PROJECT_ROOT / "dbt" / "models" / "reports").glob("*.sql"))
FACTS = ("fct_inventory", "fct_payment", "fct_rental")

CHANGES = (
    "insert into payment select 900001, customer_id, staff_id, rental_id, 123.45, payment_date from payment limit 1",
    "update payment set amount = amount + 1 where payment_id % 50 = 0",
    "delete from payment where payment_id % 97 = 0",
    "delete from payment where rental_id % 89 = 0",
    "delete from rental where rental_id % 89 = 0",
    "update rental set inventory_id = 5 where rental_id % 83 = 0",
    "update rental set return_date = null where rental_id % 101 = 0",
    "update film set rental_duration = rental_duration + 1 where film_id < 10",
    "truncate film_actor",
)

Rows = Counter[tuple[Any, ...]]


def rows(warehouse: Path, schema: str, table: str) -> Rows:
    with duckdb.connect(warehouse, read_only=True) as connection:
        return Counter(connection.execute(f"select * from {schema}.{table}").fetchall())


@dataclass
class Parity:
    """One source, and what both warehouses show of it before and after the changes."""

    before: dict[str, tuple[Rows, Rows]]
    after: dict[str, tuple[Rows, Rows]]
    merges: dict[str, str]


@pytest.fixture(scope="module")
def parity(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parity]:
    home = tmp_path_factory.mktemp("parity") / "home"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVD_RENTAL_", "DAGSTER_"))}
    environment = {
        **kept, "DVD_RENTAL_HOME": str(home), "DVD_RENTAL_DUCKDB_PATH": str(home / "warehouse.duckdb"),
        "DVD_RENTAL_SNOWFLAKE_ACCOUNT": "fakesnow", "DVD_RENTAL_SNOWFLAKE_USER": "fake",
        "DVD_RENTAL_SNOWFLAKE_PASSWORD": "snow",
    }  # fmt: skip

    def run(*command: str) -> str:
        program = Path(sys.executable).with_name(command[0])
        # The connector asks again for as long as the emulator answers with an error of its own.
        done = subprocess.run(
            [program, *command[1:]], env=environment, cwd=PROJECT_ROOT, text=True, capture_output=True, check=False,
            timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def build(target: str, profiles: Path) -> Path:
        made = home / target
        run(
            "dbt", "build", "--quiet", "--project-dir", str(PROJECT_ROOT / "dbt"), "--profiles-dir", str(profiles),
            "--target", target, "--target-path", str(made), "--log-path", str(made),
        )  # fmt: skip
        return made / "run" / "dvd_rental" / "models"

    def compare(exported: Path) -> dict[str, tuple[Rows, Rows]]:
        emulator.tell("export", exported)
        return {
            table: (rows(home / "warehouse.duckdb", schema, table), rows(exported, schema, table))
            for schema, tables in (("reports", REPORTS), ("marts", FACTS))
            for table in tables
        }

    def go() -> Path:
        run("dvd-rental", "sync")
        emulator.tell("load", home / "warehouse.duckdb")
        build("duckdb", PROJECT_ROOT / "dbt")
        return build("snowflake", emulator.profiles)

    with emulator.connection as connection:
        execute(connection, bootstrap(Layout("DVD_RENTALS", "DVD_RENTALS")))
    try:
        go()
        before = compare(home / "before.duckdb")
        with psycopg.connect(run("dvd-rental", "source", "url").strip()) as source:
            for change in CHANGES:
                source.execute(change)
        models = go()
        merges = {fact: (models / "marts" / f"{fact}.sql").read_text() for fact in FACTS}
        yield Parity(before, compare(home / "after.duckdb"), merges)
    finally:
        run("dvd-rental", "reset", "--yes")


@pytest.mark.parametrize("table", [*REPORTS, *FACTS])
def test_the_first_run_gives_the_same_rows_on_both(parity: Parity, table: str) -> None:
    duckdb_rows, snowflake_rows = parity.before[table]
    assert snowflake_rows == duckdb_rows
    assert duckdb_rows


@pytest.mark.parametrize("table", [*REPORTS, *FACTS])
def test_changes_and_deletes_give_the_same_rows_on_both(parity: Parity, table: str) -> None:
    duckdb_rows, snowflake_rows = parity.after[table]
    assert snowflake_rows == duckdb_rows
    assert duckdb_rows != parity.before[table][0]


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_takes_its_changes_in_one_statement(parity: Parity, fact: str) -> None:
    statements = [statement for statement in sqlglot.parse(parity.merges[fact], dialect="snowflake") if statement]
    assert [type(statement) for statement in statements] == [exp.Merge]
