import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from dvd_rental_dagster.errors import SourceError
from dvd_rental_dagster.source.cluster import OWNER, SUPERUSER
from dvd_rental_dagster.source.connection_string import database_of, with_role
from dvd_rental_dagster.source.replacement import is_whole, replace_database
from dvd_rental_dagster.source.server import EmbeddedServer


@pytest.fixture
def url(server: EmbeddedServer) -> Iterator[str]:
    """The owner's URL of a database that does not exist yet."""
    name = f"test_{uuid.uuid4().hex}"
    yield server.url(name, OWNER)
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database like %s", (f"{name}%",)
        )
        for database in databases(server, name):
            connection.execute(f"drop database {database} with (force)")


def databases(server: EmbeddedServer, prefix: str) -> list[str]:
    with psycopg.connect(server.url("postgres", SUPERUSER)) as connection:
        rows = connection.execute("select datname from pg_database where datname like %s", (f"{prefix}%",)).fetchall()
    return [name for (name,) in rows]


def build(answer: int, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"create table kept as select {answer} as answer")


def answer(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select answer from kept").fetchone()
    assert row is not None
    return int(row[0])


def test_a_first_database_is_built(url: str) -> None:
    assert not is_whole(url)
    assert replace_database(url, lambda new: build(1, new))
    assert is_whole(url)
    assert answer(url) == 1


def test_a_new_database_takes_the_place_of_the_old_one(server: EmbeddedServer, url: str) -> None:
    replace_database(url, lambda new: build(1, new))
    replace_database(url, lambda new: build(2, new))
    assert answer(url) == 2
    assert databases(server, database_of(url)) == [database_of(url)]


def test_a_build_that_fails_leaves_the_old_database(server: EmbeddedServer, url: str) -> None:
    def fail(new: str) -> None:
        build(2, new)
        raise LookupError

    replace_database(url, lambda new: build(1, new))
    with pytest.raises(LookupError):
        replace_database(url, fail)
    assert answer(url) == 1
    assert databases(server, database_of(url)) == [database_of(url)]


def test_a_database_that_exists_is_kept_when_asked(url: str) -> None:
    replace_database(url, lambda new: build(1, new))
    assert not replace_database(url, lambda new: build(2, new), keep_existing=True)
    assert answer(url) == 1


def test_who_reads_the_old_database_is_disconnected(url: str) -> None:
    replace_database(url, lambda new: build(1, new))
    with psycopg.connect(url, autocommit=True) as reader:
        reader.execute("select 1")
        replace_database(url, lambda new: build(2, new))
        with pytest.raises(psycopg.OperationalError):
            reader.execute("select 1")
    assert answer(url) == 2


def test_the_slots_of_the_old_database_go_with_it(server: EmbeddedServer, url: str) -> None:
    replace_database(url, lambda new: build(1, new))
    slot = f"slot_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (slot,))
    replace_database(url, lambda new: build(2, new))
    with psycopg.connect(server.url("postgres", SUPERUSER)) as connection:
        assert connection.execute("select 1 from pg_replication_slots where slot_name = %s", (slot,)).fetchone() is None


def test_a_killed_replacement_leaves_the_old_database_and_the_next_one_tidies(server: EmbeddedServer, url: str) -> None:
    replace_database(url, lambda new: build(1, new))
    script = """
import sys, time
from dvd_rental_dagster.source.replacement import replace_database
def build(url):
    print("building", flush=True)
    time.sleep(60)
replace_database(sys.argv[1], build)
"""
    with subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "building\n"
        process.send_signal(signal.SIGKILL)
    assert answer(url) == 1
    assert len(databases(server, database_of(url))) == 2
    replace_database(url, lambda new: build(2, new))
    assert answer(url) == 2
    assert databases(server, database_of(url)) == [database_of(url)]


def test_of_two_first_fillings_at_once_one_is_kept(url: str) -> None:
    built: list[bool] = []

    def fill(number: int) -> None:
        built.append(replace_database(url, lambda new: build(number, new), keep_existing=True))

    threads = [threading.Thread(target=fill, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(built) == [False, True]


def test_a_role_that_may_not_make_databases_is_told_what_it_lacks(server: EmbeddedServer, url: str) -> None:
    role = f"reader_{uuid.uuid4().hex}"
    with psycopg.connect(server.url("postgres", SUPERUSER)) as connection:
        connection.execute(f"create role {role} login password 'secret'")
    with pytest.raises(SourceError, match=f"alter role {role} createdb"):
        replace_database(with_role(url, role, "secret"), lambda new: build(1, new))
