"""Snowflake's emulator, run by the Python of an environment of its own.

It says ``ready`` and its port when it answers, and ``done`` when it has done what a line of its input asks: ``load`` a
DuckDB warehouse, whose ``raw`` and ``history`` replace those of the database, or ``export`` marts and reports to a new
DuckDB file. It ends when its input does.
"""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
from fakesnow import server, transforms  # the function; the next import puts the module of that name in its place
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.server import shared_fs
from fakesnow.transforms import stage
from sqlglot import exp

DATABASE = "DVD_RENTALS"

# What a loader makes of the warehouse's types on Snowflake; the others are called the same there.
TYPES = {"JSON": "VARIANT", "BLOB": "BINARY", "TIMESTAMP": "TIMESTAMP_NTZ", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_TZ"}

DEFINING = (exp.Create, exp.Alter, exp.Drop, exp.TruncateTable)

emulated_create = transforms.create_table_as
emulated_clone = transforms.create_clone
emulated_precision = transforms.integer_precision
emulated_connect = shared_fs.connect


def keep_exact(expression: exp.Expression) -> exp.Expression:
    """Leave a sum as it is: the emulator adds doubles, for the sake of text, where Snowflake adds exact numbers."""
    return expression


def keep_digits(expression: exp.Expression) -> exp.Expression:
    """Leave ``number(38, 0)`` as it is: the emulator makes it an integer of 64 bits."""
    if isinstance(expression, exp.DataType) and expression.this is exp.DataType.Type.DECIMAL and expression.expressions:
        return expression
    return emulated_precision(expression)


def clone(expression: exp.Expression) -> exp.Expression:
    """Let a clone replace a table: the emulator forgets that it was told to."""
    made = emulated_clone(expression)
    if made is not expression:
        made.set("replace", expression.args.get("replace"))
    return made


def create(statement: exp.Expression, connection: Any) -> exp.Expression | None:
    """Mend what DuckDB, which the emulator runs on, takes in another form, and what a statement does to a transaction.

    A temporary object of a database and schema is one that lasts: dbt drops it when it is done with it. The query of
    ``create table (…) as select *``, which dbt writes for a clustered table with a contract, names its columns: the
    emulator would ask DuckDB for them in a dialect that is not DuckDB's, and fail on ``dateadd``. A statement that
    defines something commits the transaction before it, and a stage can be dropped, with the files in it. A transaction
    has a number, and a table no collation.
    """
    for call in statement.find_all(exp.CurrentTransaction):
        call.replace(exp.func("TXID_CURRENT"))
    if isinstance(statement, exp.Property) and statement.name.lower() == "default_ddl_collation":
        return None
    if isinstance(statement, exp.Create):
        if (properties := statement.args.get("properties")) and statement.find(exp.Table).db:
            lasting = [each for each in properties.expressions if not isinstance(each, exp.TemporaryProperty)]
            properties.set("expressions", lasting)
        if isinstance(statement.this, exp.Schema) and statement.expression:
            query = statement.expression.unnest()
            if isinstance(query, exp.Select) and query.is_star:
                query.set("expressions", [exp.column(column.name) for column in statement.this.expressions])
    if isinstance(statement, DEFINING) or "create_stage_name" in statement.args:
        if statement.find(exp.Table).name.upper() == "MERGE_CANDIDATES":
            statement.args.pop("table_comment", None)  # it is noted in another database, which a transaction cannot
        else:
            with suppress(duckdb.TransactionException):  # none was open
                connection.commit()
    if isinstance(statement, exp.Drop) and statement.args["kind"] == "STAGE":
        return drop_stage(statement.args["tables"][0], connection)
    return emulated_create(statement, connection)


def autocommit(session: FakeSnowflakeConnection, mode: bool) -> None:
    """Pass over that: without it, the emulator ends a transaction at every merge."""


def drop_stage(table: exp.Table, connection: Any) -> exp.Expression:
    connection.execute(
        "delete from _fs_global._fs_information_schema._fs_stages where schema_name = ? and name = ?",
        [table.db, table.name],
    )
    for folder in Path(stage.LOCAL_BUCKET_PATH).glob(f"*/{table.db}/{table.name}"):
        shutil.rmtree(folder)
    return transforms.SUCCESS_NOP.copy()


def connect(*arguments: Any, nop_regexes: list[str] | None = None, **options: Any) -> Any:
    """A session, before which those of processes that are gone end, as Snowflake's do once they are in the way.

    A process tells its number as a statement that is passed over, for the emulator hears of no client's end.
    """
    for token, session in list(server_module.sessions.items()):
        number = next((regex.split()[1] for regex in session.nop_regexes or () if regex.startswith("^process ")), "")
        if number and is_gone(int(number)):
            del server_module.sessions[token]
            session.close()
    return emulated_connect(*arguments, nop_regexes=nop_regexes, **options)


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


transforms.create_table_as = create
transforms.create_clone = clone
transforms.integer_precision = keep_digits
transforms.numeric_agg_implicit_cast = keep_exact
shared_fs.connect = connect
FakeSnowflakeConnection.autocommit = autocommit
server_module = sys.modules["fakesnow.server"]


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
