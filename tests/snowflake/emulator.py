"""Snowflake's emulator, run by the Python of an environment of its own.

It says ``ready`` and its port when it answers. Each line that it then reads is a DuckDB warehouse, whose ``raw`` and
``history`` replace those of the database; it says ``loaded`` when they have. It ends when its input does.
"""

import sys
from typing import Any

from fakesnow import server, transforms  # the function; the next import puts the module of that name in its place
from fakesnow.server import shared_fs
from sqlglot import exp

DATABASE = "DVD_RENTALS"

# What a loader makes of the warehouse's types on Snowflake; the others are called the same there.
TYPES = {"JSON": "VARIANT", "BLOB": "BINARY", "TIMESTAMP": "TIMESTAMP_NTZ", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_TZ"}

create_table_as = transforms.create_table_as


def create_named_table_as(statement: exp.Expression, connection: Any) -> exp.Expression:
    """Name the columns of ``create table (…) as select *``, which dbt writes for a clustered table with a contract.

    The emulator asks DuckDB for them in a dialect that is not DuckDB's, and fails on ``dateadd``.
    """
    if isinstance(statement, exp.Create) and isinstance(statement.this, exp.Schema) and statement.expression:
        query = statement.expression.unnest()
        if isinstance(query, exp.Select) and query.is_star:
            query.set("expressions", [exp.column(column.name) for column in statement.this.expressions])
    return create_table_as(statement, connection)


transforms.create_table_as = create_named_table_as


def load(path: str) -> None:
    duckdb = shared_fs.duck_conn.cursor()
    snowflake = shared_fs.connect(DATABASE).cursor()
    duckdb.execute("attach ? as warehouse (read_only)", [path])
    tables = duckdb.execute(
        "select schema_name, table_name from duckdb_tables()"
        " where database_name = 'warehouse' and schema_name in ('raw', 'history')"
    ).fetchall()
    for schema, table in tables:
        columns = duckdb.execute(
            "select column_name, data_type from duckdb_columns()"
            " where database_name = 'warehouse' and schema_name = ? and table_name = ? order by column_index",
            [schema, table],
        ).fetchall()
        typed = ", ".join(f"{name} {TYPES.get(kind, kind)}" for name, kind in columns)
        names = ", ".join(name for name, _ in columns)
        snowflake.execute(f"create schema if not exists {schema}")
        snowflake.execute(f"create or replace table {schema}.{table} ({typed})")
        duckdb.execute(
            f"insert into {DATABASE}.{schema.upper()}.{table.upper()} ({names})"
            f" select {names} from warehouse.{schema}.{table}"
        )
    duckdb.execute("detach warehouse")


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the server logs to standard output

    def say(words: str) -> None:
        answers.write(f"{words}\n")
        answers.flush()

    with server() as address:
        say(f"ready {address['port']}")
        for line in sys.stdin:
            load(line.strip())
            say("loaded")


if __name__ == "__main__":
    main()
