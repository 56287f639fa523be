"""What becomes of the warehouse when a table at the source is altered: applied, or refused with a remedy that works."""

import pytest
from replica import PUBLICATION, Replica

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import StreamTableError
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination
from dvd_rental_dagster.replication.verification import verify

CHANGED_HANDS = (
    "alter table item rename column name to other",
    "alter table item rename column notes to name",
    "alter table item rename column other to notes",
)
APPLIED = {
    "a column without a default": ("alter table item add column extra text",),
    "a column with a default": ("alter table item add column extra integer default 7",),
    "a column with a default of a type of its own": (
        "create type mood as enum ('sad', 'it''s fine')",
        "alter table item add column extra mood default 'it''s fine'",
    ),
    "a box with a default": ("alter table item add column extra box default '((1,1),(0,0))'",),
    "an array of boxes with a default": (
        "alter table item add column extra box[] default '{(1,1),(0,0);(2,2),(1,1)}'",
    ),
    "an array with a default": ("alter table item add column extra text[] default '{a,\"b c\"}'",),
    "a column filled right after": (
        "alter table item add column extra text",
        "update item set extra = 'filled ' || id",
    ),
    "a column that is gone before it is read": (
        "alter table item add column extra text",
        "update item set extra = 'x' where id = 1",
        "alter table item drop column extra",
    ),
    "a column that has another name before it is read": (
        "alter table item add column extra text",
        "update item set extra = 'x' where id = 1",
        "alter table item rename column extra to other",
    ),
    "a dropped column": ("alter table item drop column price",),
    "a renamed column": ("alter table item rename column price to cost",),
    "a renamed key": ("alter table item rename column id to number",),
    "names that change hands": CHANGED_HANDS,
    "a renamed column between two changes": (
        "update item set price = 5 where price = 3",
        "alter table item rename column price to cost",
        "update item set cost = 6 where cost = 5",
    ),
    "more digits": ("alter table item alter column price type numeric(12, 2)",),
    "any number of digits": ("alter table item alter column price type numeric",),
    "another length": (
        "alter table item add column extra varchar(10)",
        "insert into item (id, extra) values (300, 'short')",
        "alter table item alter column extra type varchar(200)",
    ),
    "text of a length as text": (
        "alter table item add column extra varchar(10)",
        "insert into item (id, extra) values (300, 'short')",
        "alter table item alter column extra type text",
    ),
    "a column dropped, one of its name and another type added": (
        "alter table item drop column notes",
        "insert into item (id) values (300)",
        "alter table item add column notes integer",
    ),
    "a generated column": ("alter table item add column twice numeric generated always as (price * 2) stored",),
    "an enum with one value more": (
        "create type colour as enum ('red')",
        "alter table item add column extra colour",
        "update item set extra = 'red' where id = 1",
        "alter type colour add value 'blue'",
        "update item set extra = 'blue' where id = 2",
    ),
    "another replica identity": ("alter table item replica identity full",),
    "another name for a while": (
        "alter table item rename to elsewhere",
        "update elsewhere set name = 'changed there' where id < 3",
        "alter table elsewhere rename to item",
    ),
    "another schema for a while, where it was emptied": (
        "create schema elsewhere",
        "alter table item set schema elsewhere",
        "truncate elsewhere.item",
        "alter table elsewhere.item set schema public",
    ),
    "a name that another table had for a while": (
        "alter table item rename to ours",
        "create table item (id integer primary key, name text, price numeric(8, 2), notes text)",
        "insert into item values (1000, 'theirs')",
        "insert into ours values (1001, 'ours')",
        "drop table item",
        "alter table ours rename to item",
    ),
}
TOUCH = ("insert into item (id) values (400)", "delete from item where id = 4")
KEY = "key_of_item"

REFUSED = {
    "a default that is computed": "alter table item add column extra double precision default random()",
    "a domain with a default": (
        "create domain stars as integer default 3 check (value < 6); alter table item add column extra stars"
    ),
    "an identity column": "alter table item add column extra integer generated always as identity",
    "a wider integer": "alter table place alter column label type integer using length(label)",
    "fewer digits": "alter table item alter column price type numeric(7, 1)",
    "a number as text": "alter table item alter column price type text",
    "a column dropped and made again": (
        "alter table item drop column notes; alter table item add column notes text default 'again'"
    ),
    "a table dropped and made again": (
        "drop table item; create table item (id integer primary key, name text); insert into item values (1, 'again')"
    ),
}


@pytest.mark.parametrize("change", APPLIED)
def test_it_is_applied(replica: Replica, change: str) -> None:
    replica.execute(*APPLIED[change])
    touch = ("delete from item where number = 4",) if change == "a renamed key" else TOUCH
    replica.execute(*touch)
    if change == "a renamed key":
        replica.streams = (Stream("item", ("number",)), *replica.streams[1:])
    replica.sync()
    replica.assert_equal()


@pytest.mark.parametrize("change", APPLIED)
def test_it_is_applied_between_changes_of_one_transaction(replica: Replica, change: str) -> None:
    key = "number" if change == "a renamed key" else "id"
    replica.transaction(
        "update item set name = 'before' where id < 5",
        *(statement for statement in APPLIED[change] if "add value" not in statement and "'blue'" not in statement),
        f"update item set name = 'after' where {key} > 2",
        f"delete from item where {key} = 4",
    )
    if change == "a renamed key":
        replica.streams = (Stream("item", ("number",)), *replica.streams[1:])
    replica.sync()
    replica.assert_equal()


@pytest.mark.parametrize("change", REFUSED)
def test_it_is_refused_and_the_remedy_that_is_named_mends_it(replica: Replica, change: str) -> None:
    before = replica.rows("select * from raw.item order by all")
    replica.execute(REFUSED[change])
    stream = "place" if "place" in REFUSED[change] else "item"
    replica.execute(
        f"delete from {stream}", f"insert into {stream} {'values (1, 2)' if stream == 'place' else '(id) values (1)'}"
    )
    with pytest.raises(StreamTableError, match=rf"public\.{stream} .*dvd-rental resync {stream}"):
        replica.sync()
    assert replica.rows("select * from raw.item order by all") == before

    replica.sync(resync=[stream])
    replica.assert_equal()
    replica.execute(f"delete from {stream}")
    replica.sync()
    replica.assert_equal()


@pytest.fixture
def without_price(replica: Replica) -> Replica:
    replica.execute(
        "update item set notes = 'note ' || id", "alter table item drop column price", "delete from item where id = 1"
    )
    replica.sync()
    return replica


def test_a_column_whose_name_changed_hands_is_told_from_one_that_was_dropped_before(without_price: Replica) -> None:
    touch = "update item set name = 'after' where id = 3"
    without_price.execute(*CHANGED_HANDS, touch, "alter table item rename column notes to other", *TOUCH)
    without_price.sync()
    without_price.assert_equal()


def test_names_that_changed_hands_are_refused_where_nothing_tells_how(without_price: Replica) -> None:
    touch = "update item set name = 'before' where id = 3"
    without_price.execute(touch, *CHANGED_HANDS, "alter table item rename column notes to other", *TOUCH)
    with pytest.raises(StreamTableError, match=r"changed hands.*dvd-rental resync item"):
        without_price.sync()
    without_price.sync(resync=["item"])
    without_price.assert_equal()


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("mood default 'sad'", "alter type mood rename value 'sad' to 'blue'"),
        ("moods default '[sad,glad)'", "alter type mood rename value 'sad' to 'blue'"),
        ("mind default '(1,sad)'", "alter type mind add attribute since date"),
        ("mind[] default '{\"(1,sad)\"}'", "alter type mind drop attribute owner"),
    ],
)
def test_values_that_are_written_otherwise_are_refused_until_they_are_loaded_again(
    replica: Replica, column: str, change: str
) -> None:
    replica.execute(
        "create type mood as enum ('sad', 'glad')",
        "create type moods as range (subtype = mood)",
        "create type mind as (owner integer, mood mood)",
        f"alter table item add column extra {column}",
        "update item set price = 0 where id = 1",
    )
    replica.sync()
    replica.execute("alter type mood add value 'mad' before 'sad'", "update item set price = 1 where id = 1")
    replica.sync()
    replica.assert_equal()
    replica.execute(change, "update item set price = 2 where id = 1")
    with pytest.raises(StreamTableError, match=r"Values of item are written otherwise.*dvd-rental resync item"):
        replica.sync()
    replica.sync(resync=["item"])
    replica.assert_equal()
    replica.execute(
        "alter table item drop column extra", "drop type mind, moods, mood", "delete from item where id = 2"
    )
    replica.sync()
    replica.assert_equal()


def test_what_two_streams_share_is_loaded_again_by_one_command(replica: Replica) -> None:
    replica.execute("create type mood as enum ('sad', 'glad')")
    replica.execute(*(f"alter table {table} add column extra mood default 'sad'" for table in ("item", "place")))
    replica.execute("delete from item where id = 1", "delete from place where x = 1")
    replica.sync()
    replica.execute("alter type mood rename value 'sad' to 'blue'")
    with pytest.raises(StreamTableError, match=r"dvd-rental resync item place\."):
        replica.sync()
    replica.sync(resync=["item", "place"])
    replica.assert_equal()


def test_a_dropped_column_stays_in_history(replica: Replica) -> None:
    replica.execute("alter table item drop column price", "update item set name = 'later' where id = 1")
    replica.sync()
    assert [price is None for _, price, _ in replica.versions("item", "id, price") if _ is not None][-1]
    held = replica.rows("select count(price), count(*) from history.item")
    assert held == [(20, 21)]


def test_a_default_writes_a_version_of_every_row(replica: Replica) -> None:
    replica.execute("alter table item add column extra integer default 7", "update item set extra = 8 where id = 1")
    replica.sync()
    assert replica.rows("select extra, count(*) from raw.item group by all order by all") == [(7, 19), (8, 1)]
    assert replica.versions("item", "extra")[-21:] == [*[(7, False)] * 20, (8, False)]


def test_history_keeps_the_old_values_of_a_column_that_was_loaded_again_with_another_type(replica: Replica) -> None:
    replica.execute("alter table item alter column price type integer using (price * 100)::integer")
    replica.execute("update item set name = 'touched' where id = 1")
    with pytest.raises(StreamTableError, match="resync item"):
        replica.sync()
    replica.sync(resync=["item"])
    assert replica.rows("select typeof(price), sum(price) from raw.item group by all") == [("INTEGER", 31500)]
    assert replica.rows(
        "select sum(cast(price as decimal(10, 2))) from history.item where _airbyte_generation_id = 0"
    ) == [(315,)]


def test_a_change_without_a_row_waits_for_one(replica: Replica) -> None:
    replica.execute("alter table item add column extra text")
    replica.sync()
    verification = verify(
        replica.url, DuckDBDestination(replica.warehouse), replica.streams, publication=PUBLICATION, slot=replica.slot
    )
    assert not verification.equal
    assert "columns of public.item changed" in verification.obstacles["item"]
    replica.execute("update item set extra = 'now' where id = 1")
    replica.sync()
    replica.assert_equal()
