"""Values are the same whether the snapshot or the log brought them, whatever the session's settings."""

from collections.abc import Callable

import pytest
from psycopg.conninfo import conninfo_to_dict
from replica import Replica

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.replication.array import array_to_json

TABLES = """
    create type mood as enum ('glad', 'sad', 'so, so');
    create domain year as integer check (value > 1900);
    create type pair as (a integer, b text);
    create table value (
        id integer primary key, c_smallint smallint, c_integer integer, c_bigint bigint, c_real real,
        c_double double precision, c_numeric numeric(38, 10), c_unbounded numeric, c_wide numeric(100, 5),
        c_boolean boolean, c_text text, c_varchar varchar(50), c_char char(8), c_date date, c_time time,
        c_timetz timetz, c_timestamp timestamp, c_timestamptz timestamptz, c_interval interval, c_bytea bytea,
        c_json json, c_jsonb jsonb, c_uuid uuid, c_mood mood, c_year year, c_pair pair, c_range int4range,
        c_inet inet, c_cidr cidr, c_bits bit varying(10), c_vector tsvector, c_money money,
        c_texts text[], c_numbers integer[], c_flags boolean[], c_matrix integer[][], c_chars char(3)[]
    )
"""
ROWS = (
    (
        "-32768, -2147483648, -9223372036854775808, 1.17549435e-38, 2.2250738585072014e-308,"
        " 1234567890123456789012345678.0123456789, 'NaN', 99999999999999999999999999999999999999999999.12345,"
        " true, '', 'ü 漢字 🎬', 'ab', '0044-03-15 BC', '24:00:00', '12:00:00+05:30', '-infinity', 'infinity',"
        " '1 year 2 months 3 days 04:05:06.789', '\\x00ff', '{\"a\": [1, null]}', '{\"b\": 1e400}',"
        " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'so, so', 2006, row(1, 'x \"y\"'), '[1,5)', '192.168.0.1',"
        " '10.0.0.0/8', B'101', 'a:1 b:2', 12.34, '{a,\"b c\",NULL,\"q\\\"\\\\\"}', '{1,NULL,3}', '{t,f}',"
        " '{{1,2},{3,4}}', '{a,bb}'"
    ),
    (
        "32767, 2147483647, 9223372036854775807, 'NaN', '-Infinity', -0.0000000001, 'Infinity', 0, false, 'null',"
        " ' padded ', '', '9999-12-31', '00:00:00.000001', '00:00:00-12', '2024-02-29 23:59:59.999999',"
        " '0001-01-01 00:00:00+00 BC', '-1 day +00:00:00.000001', '', 'null', '\"text\"', null, 'glad', 1901,"
        " row(null, ''), 'empty', '::1/64', '::/0', '', '', -0.01, '{}', '{}', '{NULL}', '{}', '{}'"
    ),
    ", ".join(["null"] * 36),
)


@pytest.fixture
def values(make_replica: Callable[..., Replica]) -> Replica:
    return make_replica(TABLES, (Stream("value", ("id",)),))


def columns(replica: Replica, identifier: int) -> dict[str, object]:
    names = [
        name for (name,) in replica.rows(
            "select column_name from duckdb_columns() where schema_name = 'raw' and starts_with(column_name, 'c_')"
        )
    ]  # fmt: skip
    texts = ", ".join(f"{name}::varchar" for name in names)
    [row] = replica.rows(f"select {texts} from raw.value where id = {identifier}")
    return dict(zip(names, row, strict=True))


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_snapshot_and_log_write_the_same_bytes(values: Replica, row: int) -> None:
    values.execute(f"insert into value values (1, {ROWS[row]})")
    values.sync()
    values.execute(f"insert into value values (2, {ROWS[row]})")
    values.sync()
    assert columns(values, 1) == columns(values, 2)
    values.assert_equal()


def test_hostile_settings_of_role_and_database_change_nothing(values: Replica) -> None:
    values.execute(f"insert into value values (1, {ROWS[0]})")
    values.sync()
    plain = columns(values, 1)
    database = conninfo_to_dict(values.url)["dbname"]
    for name, value in (
        ("datestyle", "German"), ("timezone", "Asia/Kathmandu"), ("intervalstyle", "iso_8601"),
        ("bytea_output", "escape"), ("extra_float_digits", "-5"),
    ):  # fmt: skip
        values.execute(f"alter database {database} set {name} = '{value}'")
    values.execute(f"insert into value values (2, {ROWS[0].replace('0044-03-15 BC', '15.03.0044 BC')})")
    values.sync(resync=["value"])
    values.execute("update value set c_smallint = c_smallint")
    values.sync()
    assert columns(values, 1) == plain
    assert columns(values, 2) == plain


def test_numbers_dates_and_blobs_have_columns_of_their_own(values: Replica) -> None:
    values.execute(f"insert into value values (1, {ROWS[0]})")
    values.sync()
    types = dict(values.rows("select column_name, data_type from duckdb_columns() where schema_name = 'raw'"))
    assert types["c_numeric"] == "DECIMAL(38,10)"
    assert types["c_timestamptz"] == "TIMESTAMP WITH TIME ZONE"
    assert types["c_bytea"] == "BLOB"
    assert types["c_jsonb"] == "JSON"
    assert types["c_year"] == "INTEGER"
    assert types["c_unbounded"] == types["c_interval"] == types["c_mood"] == "VARCHAR"


@pytest.mark.parametrize(
    ("literal", "element", "expected"),
    [
        ("{}", "text", "[]"),
        ("{1,NULL,-3}", "int4", "[1,null,-3]"),
        ('{"NULL",NULL}', "text", '["NULL",null]'),
        ("{{1,2},{3,4}}", "int4", "[[1,2],[3,4]]"),
        ("[0:1]={a,b}", "text", '["a","b"]'),
        ("{NaN,1.50}", "numeric", '["NaN",1.50]'),
        ("{t,f}", "bool", "[true,false]"),
        ('{"a,b","{}","\\"","\\\\"}', "text", '["a,b","{}","\\"","\\\\"]'),
        ('{ü,""}', "text", '["ü",""]'),
    ],
)
def test_an_array_literal_becomes_json(literal: str, element: str, expected: str) -> None:
    assert array_to_json(literal, element) == expected
