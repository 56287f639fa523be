"""Which streams changed behind a place of the log, whatever the slot still holds of before."""

import psycopg
import pytest

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import SlotError
from dvd_rental_dagster.replication.pending import changed_since
from dvd_rental_dagster.replication.slot import flushed_lsn

STREAMS = (Stream("film", ("id",)), Stream("actor", ("id",)))


@pytest.fixture
def source(database: str) -> str:
    """A database with two published tables of a row each, and a slot that was never read."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table film (id integer primary key)")
        connection.execute("create table actor (id integer primary key)")
        connection.execute("create publication changes for table film, actor")
        connection.execute(f"select pg_create_logical_replication_slot('slot_{connection.info.dbname}', 'pgoutput')")
        connection.execute("insert into film values (1)")
        connection.execute("insert into actor values (1)")
    return database


def changed(url: str, lsn: int) -> tuple[str, ...]:
    slot = f"slot_{psycopg.conninfo.conninfo_to_dict(url)['dbname']}"
    return changed_since(url, STREAMS, publication="changes", slot=slot, lsn=lsn)


def test_what_committed_before_is_not_named_although_the_slot_holds_it(source: str) -> None:
    with psycopg.connect(source, autocommit=True) as connection:
        lsn = flushed_lsn(connection)
        assert changed(source, 0) == ("film", "actor")
        assert changed(source, lsn) == ()
        connection.execute("insert into actor values (2)")
        assert changed(source, lsn) == ("actor",)


def test_a_row_that_was_written_before_and_committed_behind_is_named(source: str) -> None:
    with psycopg.connect(source) as writer, psycopg.connect(source, autocommit=True) as connection:
        writer.execute("delete from film")
        lsn = flushed_lsn(connection)
        writer.commit()
        assert changed(source, lsn) == ("film",)


def test_a_row_of_a_table_that_was_called_otherwise_meanwhile_is_the_streams(source: str) -> None:
    with psycopg.connect(source, autocommit=True) as connection:
        lsn = flushed_lsn(connection)
        connection.execute("alter table film rename to movie")
        connection.execute("insert into movie values (2)")
        connection.execute("alter table movie rename to film")
    assert changed(source, lsn) == ("film",)


def test_a_truncation_is_no_row(source: str) -> None:
    with psycopg.connect(source, autocommit=True) as connection:
        lsn = flushed_lsn(connection)
        connection.execute("truncate film")
    assert changed(source, lsn) == ()


def test_a_slot_that_is_missing_is_an_error(database: str) -> None:
    with pytest.raises(SlotError, match="dvd-rental source prepare"):
        changed(database, 0)
