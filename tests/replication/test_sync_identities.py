"""However a table tells its rows apart in the log, they land as they are; what would not is refused with a remedy."""

from collections.abc import Callable

import psycopg
import pytest
from replica import Replica

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import StreamTableError

THING = "create table thing (id integer primary key, code text not null unique, name text, big text);"
FULL = "alter table thing replica identity full;"
LONG = "(select string_agg(md5((i * {0})::text), '') from generate_series(1, 300) as i)"
ROWS = "insert into thing (id, code, name) select i, 'code ' || i, 'thing ' || i from generate_series(1, 9) as i"
BAG = "create table bag (x integer, word text); alter table bag replica identity full;"
BY_ID, BY_CODE, BAG_STREAM = Stream("thing", ("id",)), Stream("thing", ("code",)), Stream("bag", ())

MakeReplica = Callable[..., Replica]


@pytest.mark.parametrize(
    ("tables", "stream"),
    [
        (THING, BY_ID),
        (THING + FULL, BY_ID),
        (THING + FULL, BY_CODE),
        (THING + "alter table thing replica identity using index thing_code_key;", BY_CODE),
        ("create table thing (code text, id integer, name text, big text, primary key (code, id));",
         Stream("thing", ("id", "code"))),
        ("create table thing (id integer, code text, name text, big text);" + FULL, Stream("thing", ())),
    ],
    ids=["default", "full", "full by another key", "index", "composite", "no key"],
)  # fmt: skip
def test_every_change_of_a_row_arrives_under_every_identity(
    make_replica: MakeReplica, tables: str, stream: Stream
) -> None:
    replica = make_replica(tables, (stream,))
    replica.execute(ROWS)
    replica.sync()
    replica.transaction(
        f"insert into thing (id, code, name, big) values (10, 'ten', 'a', {LONG.format(1)})",
        f"insert into thing (id, code, name, big) values (11, 'eleven', 'b', {LONG.format(2)})",
        "update thing set name = 'c' where id = 10",
        "update thing set id = 20, name = 'd' where id = 10",
        "update thing set code = 'twenty' where id = 20",
        "update thing set id = 21, code = 'twenty one' where id = 20",
        f"update thing set big = {LONG.format(3)} where id = 11",
        "delete from thing where id = 1",
        "insert into thing (id, code, name, big) values (1, 'code 1', 'again', '')",
        "insert into thing (id, code, name, big) values (30, 'gone', null, null)",
        "update thing set name = 'x' where id = 30",
        "delete from thing where id = 30",
    )
    replica.sync()
    replica.assert_equal()
    replica.transaction(
        "update thing set name = 'alone' where id in (11, 21)",
        "update thing set id = -1, code = 'moved' where id = 2",
        "update thing set id = 2, code = 'code 2' where id = 3",
        "update thing set id = 3, code = 'code 3' where id = -1",
        "update thing set id = 12 where id = 11",
        "update thing set code = 'one' where id = 1",
        "delete from thing where id = 21",
    )
    replica.sync()
    replica.assert_equal()
    assert replica.rows("select name, length(big) from raw.thing where id = 12") == [("alone", 9600)]


@pytest.mark.parametrize(
    ("tables", "stream", "named"),
    [
        (THING + "alter table thing replica identity nothing;", BY_ID, "alter table public.thing replica identity def"),
        ("create table thing (id integer);", BY_ID, "alter table public.thing replica identity full"),
        (THING + "alter table thing replica identity using index thing_code_key;", BY_ID, "apart by code"),
        (THING, BY_CODE, "apart by id"),
        (THING, Stream("thing", ()), "apart by id, and the stream's key is the whole row"),
        ("create table thing (id integer primary key deferrable);", BY_ID, "holds at every moment"),
        ("create table thing (id integer primary key deferrable);" + FULL, BY_ID, "not deferrable"),
        ("create table thing (id integer unique);" + FULL, BY_ID, "not null at every moment"),
        ("create table thing (id integer);" + FULL, BY_ID, "primary key"),
        ("create table thing ();", Stream("thing", ()), "has no columns"),
    ],
)  # fmt: skip
def test_a_table_whose_rows_the_log_does_not_tell_apart_is_refused_with_a_remedy(
    make_replica: MakeReplica, tables: str, stream: Stream, named: str
) -> None:
    with pytest.raises(StreamTableError, match=named):
        make_replica(tables, (stream,)).sync()


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("alter table thing replica identity nothing", "alter table thing replica identity default"),
        ("alter table thing drop constraint thing_pkey", "alter table thing add primary key (id)"),
    ],
)
def test_an_identity_taken_away_is_refused_until_it_is_back(make_replica: MakeReplica, change: str, back: str) -> None:
    replica = make_replica(THING, (BY_ID,))
    replica.sync()
    replica.execute(change, ROWS)
    with pytest.raises(StreamTableError, match=r"alter table public\.thing replica identity"):
        replica.sync()
    replica.execute(back, "update thing set name = 'later' where id = 1")
    replica.sync()
    replica.assert_equal()


def test_rows_logged_under_another_identity_are_loaded_again(make_replica: MakeReplica) -> None:
    replica = make_replica(THING, (BY_ID,))
    replica.execute(ROWS)
    replica.sync()
    replica.execute(
        "alter table thing replica identity using index thing_code_key",
        "update thing set id = 100 where id = 1",
        "alter table thing replica identity default",
    )
    with pytest.raises(StreamTableError, match="dvd-rental resync thing"):
        replica.sync()
    replica.sync(resync=["thing"])
    replica.assert_equal()


def test_an_identity_that_changes_between_full_and_default_makes_no_difference(make_replica: MakeReplica) -> None:
    replica = make_replica(THING, (BY_ID,))
    replica.execute(ROWS, f"update thing set big = {LONG.format(1)}")
    replica.sync()
    replica.execute(
        "update thing set name = 'default' where id < 4",
        "alter table thing replica identity full",
        "update thing set name = 'full', id = id + 100 where id < 6",
        "alter table thing replica identity default",
        "update thing set id = id + 200 where id > 100",
        "delete from thing where id = 9",
    )
    replica.sync()
    replica.assert_equal()


@pytest.mark.parametrize("key", [("code",), ("id", "code")])
def test_a_long_key_that_an_update_leaves_as_it_is_stays(make_replica: MakeReplica, key: tuple[str, ...]) -> None:
    replica = make_replica(
        f"""
        create table word (id integer, code text, note text, primary key ({", ".join(key)}));
        alter table word alter column code set storage external;
        """,
        (Stream("word", key),),
    )
    long_code = "(select string_agg(md5((i * {0})::text), '') from generate_series(1, 78) as i)"
    replica.execute(*(f"insert into word values ({i}, {long_code.format(i)}, 'first')" for i in (1, 2, 3)))
    replica.sync()
    replica.execute(
        "update word set note = 'second' where id < 3",
        f"update word set code = {long_code.format(4)} where id = 2",
        "delete from word where id = 3",
    )
    replica.sync()
    replica.assert_equal()
    assert replica.rows("select id, note, length(code) from raw.word order by id") == [
        (1, "second", 2496),
        (2, "second", 2496),
    ]


def test_equal_rows_of_a_table_without_a_key_come_and_go_by_their_number(make_replica: MakeReplica) -> None:
    replica = make_replica(BAG, (BAG_STREAM,))
    replica.execute("insert into bag values (1, 'a'), (1, 'a'), (1, 'a'), (null, null), (null, null), (2, 'b')")
    replica.sync()
    one = "ctid = (select min(ctid) from bag where x is not distinct from {})"
    replica.transaction(
        f"delete from bag where {one.format(1)}",
        f"update bag set word = 'b' where {one.format(1)}",
        f"delete from bag where {one.format('null')}",
        f"update bag set x = 1, word = 'a' where {one.format(2)}",
        "insert into bag values (1, 'a'), (null, null)",
        "update bag set word = word where x is null",
    )
    replica.sync()
    replica.assert_equal()
    replica.transaction("delete from bag", "insert into bag values (1, 'a'), (1, 'a')")
    replica.sync()
    replica.assert_equal()
    assert replica.rows("select x, word from raw.bag") == [(1, "a"), (1, "a")]


def test_a_table_without_key_and_identity_takes_inserts_and_truncates(make_replica: MakeReplica) -> None:
    replica = make_replica("create table bag (x integer);", (BAG_STREAM,))
    replica.sync()
    replica.execute("insert into bag values (1), (1), (null)")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        replica.execute("update bag set x = 2")
    replica.sync()
    replica.assert_equal()
    replica.transaction("truncate bag", "insert into bag values (3)")
    replica.sync()
    replica.assert_equal()


def test_a_truncate_reaches_every_table_that_it_emptied(make_replica: MakeReplica) -> None:
    tables = """
        create table parent (id integer generated always as identity primary key, name text);
        create table child (id integer primary key, parent_id integer references parent);
        create table bag (x integer);
    """
    streams = (Stream("parent", ("id",)), Stream("child", ("id",)), Stream("bag", ()))
    fill = (
        "insert into parent (name) values ('a'), ('b')",
        "insert into child values (1, 1), (2, 2)",
        "insert into bag values (1), (1)",
    )
    replica = make_replica(tables, streams)
    replica.execute(*fill)
    replica.sync()
    replica.transaction(
        "update child set id = 3 where id = 1",
        "truncate parent restart identity cascade",
        "insert into parent (name) values ('after')",
        "insert into child values (1, 1)",
        "truncate child, bag",
        "insert into bag values (2)",
    )
    replica.sync()
    replica.assert_equal()
    assert replica.rows("select id, name from raw.parent") == [(1, "after")]
    assert replica.rows("select count(*) from raw.child") == [(0,)]
    for stream, deletes in (("parent", 2), ("child", 4), ("bag", 2)):
        query = f"select count(*) from history.{stream} where _ab_cdc_deleted_at is not null"
        assert replica.rows(query) == [(deletes,)], stream
