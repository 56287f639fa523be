"""Snowflake's emulator, run by the Python of an environment of its own.

It says ``ready`` and its port when it answers, and ``done`` when it has done what a line of its input asks: ``load`` a
DuckDB warehouse, whose ``raw`` and ``history`` replace those of the database, or ``export`` marts and reports to a new
DuckDB file. It ends when its input does.
"""

import sys
from typing import Any

from fakesnow import server, transforms  # the function; the next import puts the module of that name in its place
from fakesnow.server import shared_fs
from sqlglot import exp

DATABASE = "DVD_RENTALS"

# What a loader makes of the warehouse's types on Snowflake; the others are called the same there.
TYPES = {"JSON": "VARIANT", "BLOB": "BINARY", "TIMESTAMP": "TIMESTAMP_NTZ", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_TZ"}

emulated_create = transforms.create_table_as


def keep_exact(expression: exp.Expression) -> exp.Expression:
    """Leave a sum as it is: the emulator adds doubles, for the sake of text, where Snowflake adds exact numbers."""
    return expression


def create(statement: exp.Expression, connection: Any) -> exp.Expression:
    """Mend two things that DuckDB, which the emulator runs on, takes in another form.

    A temporary object of a database and schema is one that lasts: dbt drops it when it is done with it. The query of
    ``create table (…) as select *``, which dbt writes for a clustered table with a contract, names its columns: the
    emulator would ask DuckDB for them in a dialect that is not DuckDB's, and fail on ``dateadd``.
    """
    if isinstance(statement, exp.Create):
        if (properties := statement.args.get("properties")) and statement.find(exp.Table).db:
            lasting = [each for each in properties.expressions if not isinstance(each, exp.TemporaryProperty)]
            properties.set("expressions", lasting)
        if isinstance(statement.this, exp.Schema) and statement.expression:
            query = statement.expression.unnest()
            if isinstance(query, exp.Select) and query.is_star:
                query.set("expressions", [exp.column(column.name) for column in statement.this.expressions])
    return emulated_create(statement, connection)


transforms.create_table_as = create
transforms.numeric_agg_implicit_cast = keep_exact


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


def export(path: str) -> None:
    """Past the connector, which reads a missing timestamp from the emulator as the first of 1970."""
    duckdb = shared_fs.duck_conn.cursor()
    duckdb.execute("attach ? as exported", [path])
    for schema in ("marts", "reports"):
        duckdb.execute(f"create schema exported.{schema}")
        tables = duckdb.execute(
            "select table_name from duckdb_tables() where database_name = ? and schema_name = ?",
            [DATABASE, schema.upper()],
        ).fetchall()
        for (table,) in tables:
            duckdb.execute(f"create table exported.{schema}.{table} as from {DATABASE}.{schema.upper()}.{table}")
    duckdb.execute("detach exported")


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the server logs to standard output

    def say(words: str) -> None:
        answers.write(f"{words}\n")
        answers.flush()

    with server() as address:
        say(f"ready {address['port']}")
        for line in sys.stdin:
            command, path = line.strip().split(" ", 1)
            {"load": load, "export": export}[command](path)
            say("done")


if __name__ == "__main__":
    main()
