"""Real parts for every test: a PostgreSQL server for each worker, databases for each test."""

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dvd_rental_dagster.settings import PROJECT_ROOT, Settings
from dvd_rental_dagster.source.binaries import find_binaries
from dvd_rental_dagster.source.cluster import OWNER, SUPERUSER
from dvd_rental_dagster.source.connection_string import database_of
from dvd_rental_dagster.source.generator.schema import create_schema
from dvd_rental_dagster.source.restore import restore_archive
from dvd_rental_dagster.source.server import EmbeddedServer

pytest_plugins = ["emulation"]

# What a server of many tests gives up for speed: it survives no crash of the machine, and hashes passwords once.
_OPTIONS = {"fsync": "off", "scram_iterations": "1"}

# Ends the server when the tests do, however they do: the pipe closes even when the worker is killed.
_WATCH = """
cat > /dev/null
if pid_file=$(cat "$1/data/postmaster.pid" 2> /dev/null); then
    kill -INT "$(echo "$pid_file" | sed -n 1p)"
    rm -rf "$(echo "$pid_file" | sed -n 5p)"
fi
rm -rf "$1"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the real archive, and begin with the groups: what takes longest is among them."""
    for item in items:
        if "dvdrental_dump" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.dump)
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running server of this worker's own, to which it is quick to connect."""
    server = EmbeddedServer(tmp_path_factory.mktemp("server") / "postgres", options=_OPTIONS)
    watch = subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "watch", server.root], stdin=subprocess.PIPE, start_new_session=True
    )
    with watch:
        server.ensure_running()
        _hash_passwords_anew(server)
        yield server
        server.remove()


def _hash_passwords_anew(server: EmbeddedServer) -> None:
    """The same passwords; those that the server was made with are hashed as often as everywhere."""
    with psycopg.connect(server.url("postgres", SUPERUSER)) as connection:
        for role in (SUPERUSER, OWNER):
            connection.execute(
                sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(server.password(role)))
            )


@pytest.fixture
def database(server: EmbeddedServer) -> Iterator[str]:
    """The superuser's URL of a new, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    _create_database(server, name, "template0")
    yield server.url(name, SUPERUSER)
    _drop_database(server, name)


@pytest.fixture(scope="session")
def make_tables() -> Callable[[str], None]:
    """Makes the fifteen tables, without rows, in the empty database of a URL."""

    def make(url: str) -> None:
        with psycopg.connect(url) as connection:
            create_schema(connection)

    return make


@pytest.fixture
def tables(server: EmbeddedServer, database: str, make_tables: Callable[[str], None]) -> str:
    """The superuser's URL of a DVD Rental without rows, owned by the role that owns the source."""
    make_tables(server.url(database_of(database), OWNER))
    return database


@pytest.fixture(scope="session")
def dvdrental_dump() -> Path:
    """The real archive; what needs it is skipped where it is absent."""
    folder = Path(os.environ.get("DVD_RENTAL_TEST_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    if not (folder / "dvdrental.tar").exists():
        pytest.skip(f"{folder} has no dvdrental.tar")
    return folder / "dvdrental.tar"


@pytest.fixture(scope="session")
def _restored_template(server: EmbeddedServer, dvdrental_dump: Path) -> str:
    restore_archive(server.url("restored", OWNER), dvdrental_dump, find_binaries())
    return "restored"


@pytest.fixture
def restored(server: EmbeddedServer, _restored_template: str) -> Iterator[str]:
    """The superuser's URL of a copy of the real database, owned by the role that owns the source."""
    name = f"test_{uuid.uuid4().hex}"
    _create_database(server, name, _restored_template)
    yield server.url(name, SUPERUSER)
    _drop_database(server, name)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The defaults, in a home of the test's own whose server is gone afterwards."""
    for name in os.environ:
        if name.startswith("DVD_RENTAL_"):
            monkeypatch.delenv(name)
    settings = Settings(_env_file=None, home=tmp_path / "home")
    yield settings
    EmbeddedServer(settings.postgres_path).remove()


def _create_database(server: EmbeddedServer, name: str, template: str) -> None:
    """As files are copied: the other strategy writes every page to the log."""
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} owner {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER)
            )
        )


def _drop_database(server: EmbeddedServer, name: str) -> None:
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s", (name,))
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s", (name,)
        )
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
