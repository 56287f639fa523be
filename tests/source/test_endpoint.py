import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from dvd_rental_dagster.errors import ArchiveError, ServerError, SettingsError, SourceUnreachableError
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.source.cluster import OWNER
from dvd_rental_dagster.source.connection_string import database_of, parts
from dvd_rental_dagster.source.endpoint import (
    embedded_server,
    ensure_source,
    generate_source,
    prepare_source,
    restore_source,
    source_url,
)
from dvd_rental_dagster.source.server import EmbeddedServer


@pytest.fixture
def embedded(settings: Settings, dvdrental_dump: Path) -> Settings:
    """A home of its own, to be filled from the real archive."""
    return settings.model_copy(update={"dump": dvdrental_dump})


@pytest.fixture
def empty(embedded: Settings, copy_server: Callable[[Path], EmbeddedServer]) -> Settings:
    """A home of its own, whose server was made and is down, and has nothing in it."""
    copy_server(embedded.postgres_path)
    return embedded


@pytest.fixture
def own(settings: Settings, server: EmbeddedServer, tables: str) -> Settings:
    """A source of the user's own, which is not prepared."""
    name = database_of(tables)
    url = _secret(server.url(name, OWNER))
    return settings.model_copy(update={"source_url": url, "role": f"role_{name}", "slot": f"slot_{name}"})


def _secret(url: str) -> object:
    return Settings(_env_file=None, source_url=url).source_url


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


def test_an_empty_home_becomes_a_source(embedded: Settings) -> None:
    source = ensure_source(embedded)
    assert source.embedded
    assert ask(source.owner_url, "select count(*) from payment") == 14596
    assert ask(source.role_url, "select current_user::text") == "airbyte"
    assert ask(source.local_role_url, "select inet_server_addr() is null")
    assert ask(source.owner_url, "select slot_name::text from pg_replication_slots") == "airbyte_slot"


def test_a_home_without_an_archive_is_generated(settings: Settings) -> None:
    source = ensure_source(settings)
    assert ask(source.role_url, "select count(*) from rental") == 16044
    assert not any(step.changed for step in prepare_source(settings))


def test_generating_again_takes_the_place_of_what_stood(
    settings: Settings, copy_server: Callable[[Path], EmbeddedServer]
) -> None:
    copy_server(settings.postgres_path)
    generate_source(settings, scale=1, seed=1)
    rows = "select md5(string_agg(payment::text, ' ' order by payment_id)) from payment"
    before = ask(source_url(settings), rows)
    generate_source(settings, scale=1, seed=2)
    assert ask(source_url(settings), rows) != before
    assert ask(source_url(settings, "airbyte"), "select count(*) from film") == 1000


def test_a_source_that_is_ready_is_left_as_it_is(empty: Settings) -> None:
    first = ensure_source(empty)
    slot = "select confirmed_flush_lsn::text from pg_replication_slots"
    before = ask(first.owner_url, slot)
    assert ensure_source(empty) == first
    assert ask(first.owner_url, slot) == before


def test_a_first_fill_that_fails_leaves_no_database(empty: Settings, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        ensure_source(empty.model_copy(update={"dump": tmp_path / "missing.tar"}))
    server = embedded_server(empty)
    assert ask(server.url("postgres"), "select count(*) from pg_database where datname like 'dvdrental%'") == 0
    assert ask(ensure_source(empty).owner_url, "select count(*) from rental") == 16044


def test_two_processes_fill_the_source_once(embedded: Settings) -> None:
    script = """
import sys
from collections.abc import Callable
from pathlib import Path
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.source.endpoint import ensure_source
settings = Settings(_env_file=None, home=Path(sys.argv[1]), dump=Path(sys.argv[2]))
print(ensure_source(settings).owner_url)
"""
    command = [sys.executable, "-c", script, embedded.home, str(embedded.dump)]
    fills = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    urls = {fill.communicate()[0] for fill in fills}
    assert [fill.returncode for fill in fills] == [0, 0]
    assert urls == {f"{source_url(embedded)}\n"}
    assert ask(source_url(embedded), "select count(*) from pg_database where datname like 'dvdrental%'") == 1


def test_restoring_again_starts_anew_and_is_prepared(empty: Settings, dvdrental_dump: Path) -> None:
    source = ensure_source(empty)
    with psycopg.connect(source.owner_url) as connection:
        connection.execute("update payment set amount = 99 where payment_id = 17503")
    restore_source(empty, dvdrental_dump)
    assert ask(source.owner_url, "select max(amount) from payment") < 99  # type: ignore[operator]
    assert not any(step.changed for step in prepare_source(empty))


def test_an_address_is_told_only_while_the_server_runs(embedded: Settings) -> None:
    with pytest.raises(ServerError, match="dvd-rental up"):
        source_url(embedded)


def test_the_passwords_are_in_no_representation(empty: Settings) -> None:
    source = ensure_source(empty)
    for url in (source.owner_url, source.role_url):
        assert parts(url)["password"] not in repr(source)


def test_a_source_of_ones_own_starts_no_server(own: Settings) -> None:
    source = ensure_source(own)
    assert not source.embedded
    assert not embedded_server(own).is_running()
    assert not (own.postgres_path / "data").exists()


def test_a_source_of_ones_own_is_changed_only_by_a_preparation(own: Settings) -> None:
    source = ensure_source(own)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(source.role_url)
    assert any(step.changed for step in prepare_source(own))
    assert ask(source.role_url, "select count(*) from payment") == 0
    assert not any(step.changed for step in prepare_source(own))


def test_the_role_is_asked_for_by_its_own_name_and_password(own: Settings) -> None:
    settings = own.model_copy(update={"role": "replicator", "role_password": _secret("p/w")})
    assert {**parts(source_url(settings)), "user": "replicator", "password": "p/w"} == parts(
        source_url(settings, "airbyte")
    )


def test_an_address_that_names_the_role_is_the_roles(own: Settings) -> None:
    assert source_url(own.model_copy(update={"role": OWNER}), "airbyte") == source_url(own)


def test_a_source_that_does_not_answer_is_told_by_its_address(settings: Settings) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        url = f"postgresql://shop:hush-hush@127.0.0.1:{port}/rental"
        with pytest.raises(SourceUnreachableError, match=f"127.0.0.1:{port}") as refusal:
            ensure_source(settings.model_copy(update={"source_url": _secret(url)}))
    assert "hush-hush" not in str(refusal.value)


def test_a_refused_password_is_not_repeated(own: Settings) -> None:
    wrong = source_url(own).replace(parts(source_url(own))["password"], "hush-hush")
    with pytest.raises(SourceUnreachableError, match="password authentication failed") as refusal:
        ensure_source(own.model_copy(update={"source_url": _secret(wrong)}))
    assert "hush-hush" not in str(refusal.value)


def test_an_address_that_is_none_is_refused_without_repeating_it(settings: Settings) -> None:
    malformed = settings.model_copy(update={"source_url": _secret("postgresql://shop:100%hush-hush@host/rental")})
    with pytest.raises(SettingsError, match="DVD_RENTAL_SOURCE_URL") as refusal:
        ensure_source(malformed)
    assert "hush-hush" not in str(refusal.value)
