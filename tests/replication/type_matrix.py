"""A value of every type that the server has, at the type's edges."""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg

DEFINITIONS = r"""
    create type mood as enum ('glad', 'sad', 'so, so', 'NULL', '"q"\');
    create type "bool" as enum ('t', 'f', 'maybe');
    create domain year as integer check (value > 1900);
    create domain leap_year as year check (value % 4 = 0);
    create domain price as numeric(8, 2);
    create domain code as char(4);
    create domain codes as text[];
    create domain host as inet;
    create type pair as (a integer, b text);
    create type nested as (p pair, m mood[], d date);
    create domain couple as pair;
    create type mood_range as range (subtype = mood);
    create type semicolon;
    create function semicolon_in(cstring) returns semicolon language internal immutable strict as 'textin';
    create function semicolon_out(semicolon) returns cstring language internal immutable strict as 'textout';
    create type semicolon (input = semicolon_in, output = semicolon_out, delimiter = ';');
"""
_TEXTS = ("", "null", " padded ", "ü 漢字 🎬", "a\tb\nc\\d\"e'f", "{1,2}", "-", "x" * 9000)
_JSON = ("null", '"text"', '{"b": 1e400, "a": [1, null, {"ü": "\\\\"}]}', "[]", "-0.10", '"\\u00e9"')
_DATES = ("4714-11-24 BC", "0044-03-15 BC", "0001-01-01", "2024-02-29", "5874897-12-31", "infinity", "-infinity")
_TIMESTAMPS = (
    "4714-11-24 00:00:00 BC", "0001-12-31 23:59:59.999999 BC", "1582-10-10 12:00:00", "1969-12-31 23:59:59.999999",
    "2024-02-29 24:00:00", "9999-12-31 23:59:59.9", "294247-01-10 04:00:54.775806", "infinity", "-infinity",
)  # fmt: skip
_NUMBERS = ("0", "-1.50", "1e20", "NaN", "Infinity", "-Infinity", "1e-20")

CASES: dict[str, tuple[str, ...]] = {
    "boolean": ("true", "false"),
    "smallint": ("-32768", "0", "32767"),
    "integer": ("-2147483648", "2147483647"),
    "bigint": ("-9223372036854775808", "9223372036854775807"),
    "real": ("1.17549435e-38", "1e-45", "3.4028235e38", "-0", "0.1", "16777217", "NaN", "Infinity", "-Infinity"),
    "double precision": (
        "2.2250738585072014e-308",
        "5e-324",
        "1.7976931348623157e308",
        "-0",
        "0.1",
        "123456789012345.67",
        "NaN",
        "Infinity",
        "-Infinity",
    ),
    "numeric": (*_NUMBERS, "1" * 1000 + "." + "9" * 1000, "1.10", "0.000"),
    "numeric(38, 10)": ("9999999999999999999999999999.9999999999", "-0.0000000001", "1", "0"),
    "numeric(38, 0)": ("9" * 38, "-" + "9" * 38),
    "numeric(38, 38)": ("0." + "9" * 38, "-0." + "0" * 37 + "1"),
    "numeric(8, 2)": ("-999999.99", "1.5", "0"),
    "numeric(100, 5)": ("9" * 95 + ".12345", "NaN"),
    "money": ("12.34", "-92233720368547758.08", "92233720368547758.07", "0"),
    "text": _TEXTS,
    "varchar": _TEXTS,
    "varchar(8)": ("", "12345678", "ü"),
    "char(8)": ("", "ab", " a ", "ü"),
    "bpchar": ("", "ab  "),
    '"char"': ("", "a", "\\200"),
    "name": ("", "x" * 63, "Ü b"),
    "bytea": ("", "\\x00ff", "\\x" + bytes(range(256)).hex(), "\\x5c5c27"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
    "json": (*_JSON, ' { "a" : 1 , "a" : 2 } ', '"\\u0000"', "[" * 900 + "]" * 900),
    "jsonb": (*_JSON, '{"b": 1, "a": 2, "b": 3}', "1" * 500),
    "jsonpath": ("$", '$."a b"[*] ? (@.c > 1)'),
    "date": _DATES,
    "time": ("00:00:00", "23:59:59.999999", "24:00:00", "00:00:00.000001"),
    "time(2)": ("12:34:56.789",),
    "timetz": ("12:00:00+05:30", "24:00:00-15:59:59", "00:00:00.000001+15:59:59", "00:00:00Z"),
    "timestamp": _TIMESTAMPS,
    "timestamp(0)": ("2024-02-29 23:59:59.5",),
    "timestamptz": (*_TIMESTAMPS, "2024-02-29 12:00:00+05:45"),
    "interval": (
        "1 year 2 months 3 days 04:05:06.789",
        "-1 day +00:00:00.000001",
        "0",
        "178000000 years",
        "-1 mons +1 day",
        "2562047788:00:54.775807",
    ),
    "bit(3)": ("101",),
    "bit varying(10)": ("", "1010101010"),
    "inet": ("192.168.0.1", "192.168.0.1/24", "::1", "::ffff:1.2.3.4/64", "0.0.0.0/0"),
    "cidr": ("10.0.0.0/8", "192.168.0.1/32", "::/0"),
    "macaddr": ("08:00:2b:01:02:03",),
    "macaddr8": ("08:00:2b:01:02:03:04:05",),
    "point": ("(1.5,-0)", "(NaN,Infinity)", "(1e300,1e-300)"),
    "line": ("{1,-1,0}",),
    "lseg": ("[(0,0),(1,1)]",),
    "box": ("(1,1),(0,0)", "(2,2),(1,1)"),
    "path": ("((0,0),(1,1))", "[(0,0),(1,1)]"),
    "polygon": ("((0,0),(1,1),(2,0))",),
    "circle": ("<(0,0),1.1>",),
    "tsvector": ("a:1A fat:2 'it''s':3", "", "'a b'"),
    "tsquery": ("'fat' & ( 'rat' | !'cat' )", ""),
    "int4range": ("[1,5)", "empty", "(,)", "[1,)"),
    "int8range": ("[1,9223372036854775807)",),
    "numrange": ("[1.50,2]", "(,Infinity]"),
    "daterange": ("[2024-01-01,infinity)",),
    "tsrange": ('["2024-01-01 00:00:00.000001","2024-02-29 00:00:00"]',),
    "tstzrange": ('["2024-01-01 00:00:00+05:30",)',),
    "int4multirange": ("{}", "{[1,3),[5,)}"),
    "int8multirange": ("{[1,3)}",),
    "nummultirange": ("{[1.5,2],(3,4)}",),
    "datemultirange": ("{[2024-01-01,2024-02-01)}",),
    "tsmultirange": ('{["2024-01-01 00:00:00","2024-02-29 00:00:00"]}',),
    "tstzmultirange": ('{["2024-01-01 00:00:00Z","2024-02-29 00:00:00Z"]}',),
    "oid": ("0", "4294967295"),
    "xid": ("4294967295",),
    "xid8": ("18446744073709551615",),
    "cid": ("4294967295",),
    "tid": ("(0,1)",),
    "pg_lsn": ("0/0", "FFFFFFFF/FFFFFFFF"),
    "pg_snapshot": ("10:20:10,14,15",),
    "txid_snapshot": ("10:20:10,14,15",),
    "int2vector": ("1 2 -3", ""),
    "oidvector": ("1 4294967295", ""),
    "aclitem": ("postgres=r/postgres",),
    "refcursor": ("my cursor",),
    "regclass": ("public.value", "pg_catalog.pg_class", "-", "4294967295"),
    "regcollation": ('pg_catalog."C"',),
    "regconfig": ("pg_catalog.english",),
    "regdictionary": ("pg_catalog.simple",),
    "regnamespace": ("public",),
    "regoper": ("pg_catalog.||/",),
    "regoperator": ("pg_catalog.+(integer,integer)",),
    "regproc": ("public.semicolon_in", "pg_catalog.now"),
    "regprocedure": ("pg_catalog.abs(integer)", "public.semicolon_in(cstring)"),
    "regrole": ("postgres",),
    "regtype": ("public.mood", "integer[]"),
    "information_schema.cardinal_number": ("0", "2147483647"),
    "information_schema.character_data": ("x",),
    "information_schema.sql_identifier": ("Value",),
    "information_schema.time_stamp": ("2024-02-29 12:34:56.78+05:45",),
    "information_schema.yes_or_no": ("YES",),
    "public.mood": ("glad", "so, so", "NULL", '"q"\\'),
    'public."bool"': ("t", "f", "maybe"),
    "public.year": ("1901",),
    "public.leap_year": ("2024",),
    "public.price": ("-999999.99", "0"),
    "public.code": ("ab",),
    "public.codes": ('{a,NULL,"b c"}', "{}"),
    "public.host": ("192.168.0.1",),
    "public.pair": ('(1,"x ""y"" \\\\ {,}")', "(,)", '(,"")'),
    "public.nested": ('("(1,""a,b"")","{glad,""so, so"",NULL}",infinity)', "(,,)"),
    "public.couple": ("(1,a)",),
    "public.mood_range": ("[glad,sad]",),
    "public.mood_multirange": ("{[glad,sad]}",),
    "public.semicolon": ("a;b", ""),
    "integer[]": ("{1,NULL,-3}", "{{1,2},{3,4}}", "[-1:0][2:3]={{1,2},{3,4}}", "{}", "{{{1}}}"),
    "text[]": ('{"",NULL,"NULL","a b","q\\"\\\\","{}","a,b",ü}',),
    "char(3)[]": ("{a,NULL}",),
    "numeric(8, 2)[]": ("{1.5,NaN}",),
}
"""Texts of values by the type of their column; the server reads them."""

SINCE: dict[int, dict[str, tuple[str, ...]]] = {
    150000: {"numeric(5, -2)": ("12345.67", "-9999949", "0"), "numeric(3, 5)": ("0.00999", "-0.00001")},
    170000: {"interval(3)": ("infinity", "-infinity")},
}
"""More of them, by the version that brought them."""

EXCLUDED: dict[str, str] = {
    "cstring": "it is a pseudo-type, whose arrays no table has",
    "gtsvector": "its input function refuses every text",
    "pg_brin_bloom_summary": "its input function refuses every text",
    "pg_brin_minmax_multi_summary": "its input function refuses every text",
    "pg_dependencies": "its input function refuses every text",
    "pg_mcv_list": "its input function refuses every text",
    "pg_ndistinct": "its input function refuses every text",
    "pg_node_tree": "its input function refuses every text",
}
"""Types of the server's without a case, each with the reason; the row types of tables and views are left out as well,
for they are composites like any other.
"""


@dataclass(frozen=True)
class Matrix:
    """The table ``value`` with a column of every type and of its arrays, and a row for every edge."""

    types: tuple[str, ...]
    rows: int

    @classmethod
    def make(
        cls, connection: psycopg.Connection[tuple[object, ...]], wanted: Callable[[str], bool] = lambda _: True
    ) -> "Matrix":
        """Make the table of the wanted types and fill it; ``id`` counts from 1."""
        connection.execute("set search_path = public")
        connection.execute(DEFINITIONS)
        columns: dict[str, list[str]] = {}
        for name, texts in _cases(connection).items():
            values = [f"{_literal(text)}::{name}" for text in texts]
            columns.setdefault(name, []).extend(values)
            if not name.endswith("]"):
                columns.setdefault(f"{name}[]", []).extend(_arrays(values, f"{name}[]"))
        columns = {name: values for name, values in columns.items() if wanted(name)}
        types = tuple(columns)
        rows = max(len(values) for values in columns.values())
        defined = ", ".join(f"c_{number} {name}" for number, name in enumerate(types))
        connection.execute(f"create table value (id integer primary key, {defined})")
        for row in range(rows):
            values_of_row = (values[row] if row < len(values) else "null" for values in columns.values())
            connection.execute(f"insert into value values ({row + 1}, {', '.join(values_of_row)})")
        return cls(types, rows)

    @property
    def columns(self) -> dict[str, str]:
        """The type of each column but the key."""
        return {f"c_{number}": name for number, name in enumerate(self.types)}

    def copy(self, distance: int) -> str:
        """The statement that inserts every row once more, its key ``distance`` further."""
        names = ", ".join(self.columns)
        return f"insert into public.value select id + {distance}, {names} from public.value where id <= {self.rows}"


def _cases(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, tuple[str, ...]]:
    cases = dict(CASES)
    for version, more in SINCE.items():
        if connection.info.server_version >= version:
            cases |= more
    if has_xml(connection):
        cases["xml"] = ("<a b='c'>ü</a>", "text & <b/>".replace("&", "&amp;"), "")
    return cases


def has_xml(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Whether the server was built with XML; without it the type has no values."""
    try:
        with connection.transaction():
            connection.execute("select '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


def _arrays(values: list[str], array: str) -> list[str]:
    """Of each type an array with a null, one of two dimensions, one with other bounds, and an empty one."""
    first, last = values[0], values[-1]
    return [
        f"array[{', '.join(values)}, null]::{array}",
        f"array[[{first}, null], [{last}, {first}]]::{array}",
        f"(('[0:1]=' || array[{first}, {last}]::{array}::text))::{array}",
        f"'{{}}'::{array}",
    ]


def _literal(text: str) -> str:
    """A string as the server reads it whatever ``standard_conforming_strings`` says."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
