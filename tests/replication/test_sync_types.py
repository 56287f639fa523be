"""Values are the source's, the same whether the snapshot or the log brought them, whatever the session's settings."""

import json
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from replica import Replica
from type_matrix import EXCLUDED, Matrix, has_xml

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import StreamTableError
from dvd_rental_dagster.replication.array import array_to_json
from dvd_rental_dagster.replication.session import connect

LOGGED, UPDATED = 1000, 2000
OF_FIXED_WIDTH = frozenset({
    "boolean", "smallint", "integer", "bigint", "real", "double precision", "timestamp", "timestamptz",
    "numeric(38, 10)", "numeric(38, 0)", "numeric(38, 38)", "numeric(8, 2)",
    "public.year", "public.leap_year", "public.price", "information_schema.cardinal_number",
})  # fmt: skip
HOSTILE = {
    "datestyle": "German", "timezone": "Asia/Kathmandu", "intervalstyle": "iso_8601", "bytea_output": "escape",
    "extra_float_digits": "-5", "search_path": "nowhere", "quote_all_identifiers": "on", "array_nulls": "off",
    "standard_conforming_strings": "off", "xmlbinary": "hex", "xmloption": "document", "client_encoding": "LATIN1",
    "lc_monetary": "C",
}  # fmt: skip


@pytest.fixture
def values(make_replica: Callable[..., Replica]) -> Replica:
    return make_replica("", (Stream("value", ("id",)),))


def fill(values: Replica, wanted: Callable[[str], bool] = lambda _: True) -> Matrix:
    with psycopg.connect(values.url) as connection:
        return Matrix.make(connection, wanted)


def held(values: Replica, matrix: Matrix, schema: str, distance: int = 0) -> dict[str, list[str | None]]:
    """The texts of every type's values, in the order of their keys, from the rows whose key is ``distance`` further."""
    rows = values.rows(
        f"select id - {distance}, columns('^c_')::varchar from {schema}.value"
        f" where id > {distance} and id <= {distance} + 100 order by id, _ab_cdc_lsn"
    )
    assert [identifier for identifier, *_ in rows] == list(range(1, matrix.rows + 1))
    return dict(zip(matrix.types, [list(texts) for texts in zip(*rows, strict=True)][1:], strict=True))


@pytest.mark.parametrize("wanted", [lambda _: True, OF_FIXED_WIDTH.__contains__], ids=["every", "of fixed width"])
def test_every_type_is_the_same_from_snapshot_and_log_and_is_the_sources(
    values: Replica, wanted: Callable[[str], bool]
) -> None:
    matrix = fill(values, wanted)
    values.sync()
    values.execute(matrix.copy(LOGGED))
    values.sync()
    values.execute(f"update public.value set id = id + {UPDATED - LOGGED} where id > {LOGGED}", matrix.copy(LOGGED))
    values.sync()
    loaded = held(values, matrix, "raw")
    assert held(values, matrix, "raw", LOGGED) == loaded
    assert held(values, matrix, "raw", UPDATED) == loaded
    assert held(values, matrix, "history") == loaded
    values.assert_equal()
    assert_is_the_sources(values, matrix)


def assert_is_the_sources(values: Replica, matrix: Matrix) -> None:
    """Each value is the source's text, or one that the source reads as the same value; arrays are so by element."""
    types = dict(values.rows("select column_name, data_type from duckdb_columns() where schema_name = 'raw'"))
    with connect(values.url) as source:
        for column, pg_type in matrix.columns.items():
            is_array = types[column] == "JSON" and pg_type not in {"json", "jsonb"}
            text = f"'\\x' || lower(hex({column}))" if types[column] == "BLOB" else f"{column}::varchar"
            texts = [text for (text,) in values.rows(f"select {text} from raw.value where id < 100 order by id")]
            found: list[Any] = [elements(text) for text in texts] if is_array else texts
            if types[column] not in {"JSON", "VARCHAR", "BLOB"}:
                dated = [text and re.sub(r"^(.*?) \(BC\)(.*)$", r"\1\2 BC", text) for text in texts]
                read = f"case when text <> '' then format('%%s', text::{pg_type}) end"
                query = f"select array(select {read} from unnest(%s::text[]) as text)"
                [(found,)] = source.execute(query, (dated,)).fetchall()
            written = f"case when num_nulls({column}) = 0 then {source_text(column, is_array=is_array)} end"
            query = f"select {written} from public.value where id < 100 order by id"
            assert found == [wanted for (wanted,) in source.execute(query)], pg_type


def source_text(value: str, *, is_array: bool) -> str:
    """The expression for what the type's output function writes, or for an array of what it writes for the elements."""
    if not is_array:
        return f"format('%s', {value})"
    element = "case when num_nulls(element) = 0 then format('%s', element) end"
    return f"array(select {element} from (select unnest({value}) as element) as elements)"


def elements(array: str | None) -> list[str | None] | None:
    """The elements of a JSON array of any depth, as the source writes them."""
    if array is None:
        return None

    def flat(value: Any) -> list[str | None]:
        if isinstance(value, list):
            return [leaf for part in value for leaf in flat(part)]
        return [{True: "t", False: "f"}.get(value, value)]

    return flat(json.loads(array, parse_int=str, parse_float=str))


def test_hostile_settings_of_role_and_database_change_nothing(values: Replica) -> None:
    matrix = fill(values)
    values.sync()
    plain = held(values, matrix, "raw")
    database = conninfo_to_dict(values.url)["dbname"]
    for name, value in HOSTILE.items():
        values.execute(
            f"alter database {database} set {name} = '{value}'",
            f"alter role current_user in database {database} set {name} = '{value}'",
        )
    values.sync(resync=["value"])
    assert held(values, matrix, "raw") == plain
    values.execute(matrix.copy(LOGGED))
    values.sync()
    assert held(values, matrix, "raw", LOGGED) == plain
    assert held(values, matrix, "history") == plain


def test_every_type_of_the_server_has_a_case_or_a_reason_for_none(values: Replica) -> None:
    fill(values)
    with psycopg.connect(values.url) as source:
        covered = "select atttypid from pg_attribute where attrelid = 'public.value'::regclass"
        types = source.execute(
            f"""
            select typname, coalesce((select typname from pg_type as one where one.typarray = type.oid), typname)
            from pg_type as type
            where typtype <> 'p' and oid not in ({covered}) and typnamespace <> 'pg_toast'::regnamespace
            and not exists (
                select 1 from pg_type as row_type inner join pg_class on row_type.typrelid = pg_class.oid
                where relkind <> 'c' and type.oid in (row_type.oid, row_type.typarray)
            )
            """
        ).fetchall()
        excluded = {*EXCLUDED} if has_xml(source) else {*EXCLUDED, "xml"}
    assert {name for name, element in types if element not in excluded} == set()


@pytest.mark.parametrize(
    ("definition", "text", "named"),
    [
        ("numeric(8, 2)", "NaN", "c holds NaN"),
        ("timestamp", "294276-12-31 23:59:59.999999", "c holds 294276-12-31"),
        ("timestamptz", "294247-01-10 04:00:54.775807+00", "c holds 294247-01-10"),
        ("json", '"\\ud83d"', "c holds"),
    ],
)
def test_a_value_that_the_warehouse_cannot_hold_is_named_and_the_remedy_helps(
    values: Replica, definition: str, text: str, named: str
) -> None:
    values.execute(
        f"create table value (id integer primary key, c {definition})",
        f"insert into value values (1, '{text}'), (2, null)",
    )
    with pytest.raises(StreamTableError, match=rf"public\.value, {named}.* dvd-rental resync value"):
        values.sync()
    values.execute("update value set c = null")
    values.sync()
    values.execute(f"update value set c = '{text}' where id = 2")
    with pytest.raises(StreamTableError, match=rf"public\.value, {named}.* dvd-rental resync value"):
        values.sync()
    values.execute("delete from value where id = 2")
    values.sync(resync=["value"])
    values.assert_equal()


def test_a_value_has_no_zero_byte_for_the_source_refuses_it(values: Replica) -> None:
    values.execute("create table value (id integer primary key, c text)")
    for value in (r"e'\000'", r"""'"\u0000"'::jsonb"""):
        with pytest.raises(psycopg.Error):
            values.execute(f"insert into value values (1, {value})")


def test_a_type_has_a_column_of_its_own_where_one_is_faithful(values: Replica) -> None:
    types = {
        "numeric(38, 10)": "DECIMAL(38,10)",
        "numeric(39, 10)": "VARCHAR",
        "timestamptz(3)": "TIMESTAMP WITH TIME ZONE",
        "bytea": "BLOB",
        "jsonb": "JSON",
        "point[]": "JSON",
        "oidvector": "VARCHAR",
        "information_schema.cardinal_number": "INTEGER",
        "interval": "VARCHAR",
    }
    columns = ", ".join(f"c_{number} {name}" for number, name in enumerate(types))
    values.execute(f"create table value (id integer primary key, {columns})")
    values.sync()
    for schema in ("raw", "history"):
        stored = values.rows(
            f"select data_type from duckdb_columns() where schema_name = '{schema}' and starts_with(column_name, 'c_')"
            " order by column_index"
        )
        assert [warehouse_type for (warehouse_type,) in stored] == list(types.values())


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
        ("{t,f}", "", '["t","f"]'),
        ('{"a,b","{}","\\"","\\\\"}', "text", '["a,b","{}","\\"","\\\\"]'),
        ('{ü,""}', "text", '["ü",""]'),
        ("{(1,1),(0,0);NULL}", "box", '["(1,1),(0,0)",null]'),
    ],
)
def test_an_array_literal_becomes_json(literal: str, element: str, expected: str) -> None:
    assert array_to_json(literal, element) == expected
