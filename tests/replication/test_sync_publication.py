"""Streams that come and go, and what the publication leaves out of them."""

from collections.abc import Callable

import pytest
from replica import PUBLICATION, Replica

from dvd_rental_dagster.errors import PublicationError


def test_a_stream_that_is_added_is_loaded_alone(make_replica: Callable[..., Replica]) -> None:
    replica = make_replica()
    every = replica.streams
    replica.streams = every[:1]
    replica.execute("insert into item select i, 'x' from generate_series(1, 5) as i")
    replica.sync()
    replica.execute("insert into place values (1, 2, 'here')", "update item set name = 'y' where id = 1")
    replica.streams = every
    report = replica.sync()
    assert {name: stream.snapshot for name, stream in report.streams.items()} == {"item": None, "place": 1, "empty": 0}
    replica.assert_equal()


def test_a_stream_that_was_left_out_for_a_while_is_loaded_again(replica: Replica) -> None:
    every = replica.streams
    replica.streams = every[1:]
    replica.execute("delete from item where id = 1")
    replica.sync()
    replica.streams = every
    assert replica.sync().streams["item"].snapshot == 19
    replica.assert_equal()


def test_a_table_taken_out_of_the_publication_is_named(make_replica: Callable[..., Replica]) -> None:
    replica = make_replica()
    replica.execute(f"drop publication {PUBLICATION}", f"create publication {PUBLICATION} for table item, place, empty")
    replica.sync()
    replica.execute(f"alter publication {PUBLICATION} drop table place", "insert into place values (1, 1, 'unseen')")
    with pytest.raises(PublicationError, match=r"lacks public\.place"):
        replica.sync()


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        ("for all tables with (publish = 'insert, update')", "kinds of changes"),
        ("for table item where (id > 3), place, empty", r"filters the rows of public\.item"),
    ],
)
def test_a_publication_that_leaves_changes_out_is_refused(replica: Replica, definition: str, named: str) -> None:
    replica.execute(f"drop publication {PUBLICATION}", f"create publication {PUBLICATION} {definition}")
    with pytest.raises(PublicationError, match=named):
        replica.sync()


def test_columns_that_the_publication_leaves_out_are_left_out(make_replica: Callable[..., Replica]) -> None:
    replica = make_replica()
    replica.execute(
        f"drop publication {PUBLICATION}",
        f"create publication {PUBLICATION} for table item (id, name), place, empty",
        "insert into item values (1, 'seen', 9.99, 'secret')",
    )
    replica.sync()
    replica.execute("update item set name = 'seen again', notes = 'secret still'")
    replica.sync()
    replica.assert_equal()
    assert "notes" not in {
        name for (name,) in replica.rows("select column_name from duckdb_columns() where table_name = 'item'")
    }
