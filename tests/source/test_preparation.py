import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.errors import PreparationError
from dvd_rental_dagster.source.binaries import Binaries
from dvd_rental_dagster.source.capture import Capture
from dvd_rental_dagster.source.cluster import OWNER, SUPERUSER
from dvd_rental_dagster.source.connection_string import database_of, with_role
from dvd_rental_dagster.source.preparation import prepare
from dvd_rental_dagster.source.server import EmbeddedServer

PASSWORD = "s3cr/t'"


@pytest.fixture
def capture() -> Capture:
    """Names of this test's own: roles and slots belong to the whole server."""
    name = uuid.uuid4().hex
    return Capture(role=f"airbyte_{name}", password=PASSWORD, publication="airbyte_publication", slot=f"slot_{name}")


@pytest.fixture
def owner(server: EmbeddedServer, tables: str) -> str:
    """The owner's URL of a DVD Rental without rows."""
    return server.url(database_of(tables), OWNER)


def prepared(url: str, capture: Capture) -> list[str]:
    """Prepare the source; the names of the steps that changed something."""
    with psycopg.connect(url, autocommit=True) as connection:
        return [step.name for step in prepare(connection, capture) if step.changed]


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def ask(url: str, question: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(question).fetchall()


def as_role(url: str, capture: Capture) -> str:
    return with_role(url, capture.role, capture.password)


@contextlib.contextmanager
def server_with(tmp_path: Path, **options: str) -> Iterator[str]:
    """The superuser's URL of a server of its own, with other settings."""
    server = EmbeddedServer(tmp_path / "postgres", options=options)
    server.ensure_running()
    try:
        yield server.url("postgres", SUPERUSER)
    finally:
        server.remove()


def test_an_owner_who_is_no_superuser_prepares_the_source(owner: str, capture: Capture) -> None:
    assert prepared(owner, capture) == ["role", "rights", "replica identity", "publication", "slot"]


def test_a_second_preparation_changes_nothing(owner: str, capture: Capture) -> None:
    prepared(owner, capture)
    assert prepared(owner, capture) == []


def test_the_role_reads_every_table_and_writes_none(owner: str, capture: Capture) -> None:
    prepared(owner, capture)
    with psycopg.connect(as_role(owner, capture), autocommit=True) as connection:
        for name in STREAM_NAMES:
            connection.execute(f"select 1 from {name}")
            for write in (f"insert into {name} default values", f"delete from {name}", f"truncate {name}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(write)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("create table mine ()")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("create role another")


def test_the_role_streams_what_the_tables_go_through(owner: str, capture: Capture) -> None:
    prepared(owner, capture)
    run(owner, "insert into country (country) values ('Freedonia')")
    with psycopg.connect(as_role(owner, capture)) as connection:
        kinds = connection.execute(
            "select substr(data, 1, 1) from pg_logical_slot_get_binary_changes(%s, null, null, "
            "'proto_version', '1', 'publication_names', %s)",
            (capture.slot, capture.publication),
        ).fetchall()
    assert kinds == [(b"B",), (b"R",), (b"I",), (b"C",)]


def test_the_role_reads_tables_made_later(owner: str, capture: Capture) -> None:
    prepared(owner, capture)
    run(owner, "create table later as select 1 as answer")
    assert ask(as_role(owner, capture), "select answer from later") == [(1,)]


def test_the_password_never_reaches_the_server_in_clear(owner: str, tables: str, capture: Capture) -> None:
    prepared(owner, capture)
    verifier = ask(tables, f"select rolpassword from pg_authid where rolname = '{capture.role}'")[0][0]
    assert str(verifier).startswith("SCRAM-SHA-256$")


def test_tables_that_store_values_out_of_line_log_their_whole_rows(owner: str, capture: Capture) -> None:
    prepared(owner, capture)
    identities = dict(
        ask(
            owner,
            "select relname, relreplident from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
        )
    )
    assert {name for name, identity in identities.items() if identity == "f"} == {"film", "staff"}
    assert {name for name, identity in identities.items() if identity == "d"} == set(STREAM_NAMES) - {"film", "staff"}


def test_the_key_is_the_identity_of_every_table_when_asked(owner: str, capture: Capture) -> None:
    assert "replica identity" not in prepared(owner, dataclasses.replace(capture, full_identity=False))
    assert ask(owner, "select count(*) from pg_class where relreplident = 'f'") == [(0,)]


@pytest.mark.parametrize("identity", ["nothing", "using index unique_title"])
def test_an_identity_that_finds_no_row_is_mended(owner: str, capture: Capture, identity: str) -> None:
    run(owner, "alter table category add constraint unique_title unique (name)")
    prepared(owner, capture)
    run(owner, f"alter table category replica identity {identity}")
    assert prepared(owner, capture) == ["replica identity"]
    assert ask(owner, "select relreplident from pg_class where relname = 'category'") == [("d",)]


@pytest.mark.parametrize(
    "damage",
    [
        "alter publication airbyte_publication drop table rental",
        "create table extra (); alter publication airbyte_publication add table extra",
        "alter publication airbyte_publication set (publish = 'insert')",
        "alter publication airbyte_publication set table payment where (amount > 0)",
        "alter publication airbyte_publication set table payment (payment_id)",
        "drop publication airbyte_publication",
    ],
)
def test_a_publication_of_something_else_is_mended(owner: str, capture: Capture, damage: str) -> None:
    prepared(owner, capture)
    run(owner, damage)
    assert prepared(owner, capture) == ["publication"]
    published = ask(
        owner, "select tablename from pg_publication_tables where pubname = 'airbyte_publication' and rowfilter is null"
    )
    assert {name for (name,) in published} == set(STREAM_NAMES)
    assert prepared(owner, capture) == []


def test_a_publication_of_all_tables_is_refused(owner: str, tables: str, capture: Capture) -> None:
    run(tables, "create publication airbyte_publication for all tables")
    with pytest.raises(PreparationError, match="drop publication airbyte_publication"):
        prepared(owner, capture)


def test_a_role_that_may_not_log_in_or_replicate_is_mended(tables: str, capture: Capture) -> None:
    run(tables, f"create role {capture.role}")
    assert prepared(tables, capture)[:2] == ["role", "rights"]
    assert ask(tables, f"select rolcanlogin, rolreplication from pg_roles where rolname = '{capture.role}'") == [
        (True, True)
    ]
    assert ask(as_role(tables, capture), "select current_user::text") == [(capture.role,)]


def test_a_revoked_right_is_given_back(owner: str, capture: Capture) -> None:
    prepared(owner, capture)
    run(owner, f"revoke select on payment from {capture.role}")
    assert prepared(owner, capture) == ["rights"]
    assert ask(as_role(owner, capture), "select count(*) from payment") == [(0,)]


def test_another_password_is_set_when_it_was_chosen(owner: str, capture: Capture) -> None:
    prepared(owner, capture)
    another = dataclasses.replace(capture, password=f"another {PASSWORD}")
    assert prepared(owner, another) == ["password"]
    assert prepared(owner, another) == []


def test_a_password_that_nobody_told_us_is_left_alone(owner: str, capture: Capture) -> None:
    prepared(owner, capture)
    with pytest.raises(PreparationError, match="DVD_RENTAL_ROLE_PASSWORD"):
        prepared(owner, dataclasses.replace(capture, password=f"guessed {PASSWORD}", may_set_password=False))
    assert prepared(owner, capture) == []


def test_the_role_itself_finds_a_prepared_source_prepared(owner: str, capture: Capture) -> None:
    prepared(owner, capture)
    assert prepared(as_role(owner, capture), capture) == []


def test_who_may_not_prepare_is_given_the_statement_for_who_may(owner: str, tables: str, capture: Capture) -> None:
    reader = f"reader_{uuid.uuid4().hex}"
    run(tables, f"create role {reader} login password 'secret'")
    with pytest.raises(PreparationError, match=rf'role {reader} may not .* create role "{capture.role}" login'):
        prepared(with_role(owner, reader, "secret"), capture)


def test_who_may_not_grant_is_given_the_statement_for_who_may(owner: str, capture: Capture) -> None:
    prepared(owner, capture)
    run(owner, f"revoke select on payment from {capture.role}")
    with pytest.raises(PreparationError, match=r'grant select on .*"public"."payment".* to'):
        prepared(as_role(owner, capture), capture)


def test_on_rds_the_right_to_replicate_comes_with_membership(
    tmp_path: Path, capture: Capture, make_tables: Callable[[str], None]
) -> None:
    with server_with(tmp_path) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role rds_replication")
        make_tables(url)
        steps = {step.name: step for step in prepare(connection, capture)}
        assert steps["role"].changed
        assert connection.execute(
            "select rolreplication, pg_has_role(oid, 'rds_replication', 'member') from pg_roles where rolname = %s",
            (capture.role,),
        ).fetchone() == (False, True)
        assert not any(step.changed for step in prepare(connection, capture))


@pytest.mark.parametrize(
    ("rds", "remedy"), [(False, "alter system set wal_level = 'logical'"), (True, r"rds\.logical_replication")]
)
def test_another_wal_level_is_refused(tmp_path: Path, capture: Capture, rds: bool, remedy: str) -> None:
    with server_with(tmp_path, wal_level="replica") as url:
        if rds:
            run(url, "create role rds_replication")
        with pytest.raises(PreparationError, match=f"wal_level is replica.*{remedy}"):
            prepared(url, capture)


def test_a_server_without_slots_is_refused(tmp_path: Path, capture: Capture) -> None:
    with (
        server_with(tmp_path, max_replication_slots="0") as url,
        pytest.raises(PreparationError, match="max_replication_slots"),
    ):
        prepared(url, capture)


def test_a_server_without_senders_is_refused(tmp_path: Path, capture: Capture) -> None:
    with server_with(tmp_path, max_wal_senders="0") as url, pytest.raises(PreparationError, match="max_wal_senders"):
        prepared(url, capture)


def test_a_database_without_the_tables_is_refused(database: str, capture: Capture) -> None:
    with pytest.raises(PreparationError, match=r"lacks the tables public\.actor, .*dvd-rental source restore"):
        prepared(database, capture)


def test_a_table_without_a_key_is_refused(owner: str, capture: Capture) -> None:
    run(owner, "alter table film_actor drop constraint film_actor_pkey")
    with pytest.raises(PreparationError, match=r'"film_actor" add primary key \("actor_id", "film_id"\)'):
        prepared(owner, capture)


def test_row_level_security_that_hides_rows_is_refused(owner: str, tables: str, capture: Capture) -> None:
    run(owner, "alter table payment enable row level security")
    with pytest.raises(PreparationError, match=f"payment.*alter role {capture.role} bypassrls"):
        prepared(owner, capture)
    run(tables, f"alter role {capture.role} bypassrls")
    assert "slot" in prepared(owner, capture)


def test_a_slot_of_another_plugin_is_refused(owner: str, capture: Capture) -> None:
    run(owner, f"select pg_create_physical_replication_slot('{capture.slot}')")
    with pytest.raises(PreparationError, match="physical"):
        prepared(owner, capture)
    run(owner, f"select pg_drop_replication_slot('{capture.slot}')")


def test_a_slot_of_another_database_is_refused(server: EmbeddedServer, owner: str, capture: Capture) -> None:
    elsewhere = server.url("postgres", SUPERUSER)
    run(elsewhere, f"select pg_create_logical_replication_slot('{capture.slot}', 'pgoutput')")
    with pytest.raises(PreparationError, match=r"of the database postgres .*DVD_RENTAL_SLOT"):
        prepared(owner, capture)
    run(elsewhere, f"select pg_drop_replication_slot('{capture.slot}')")


def test_a_slot_whose_log_was_discarded_is_refused(
    tmp_path: Path, capture: Capture, make_tables: Callable[[str], None]
) -> None:
    options = {"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    with server_with(tmp_path, **options) as url, psycopg.connect(url, autocommit=True) as connection:
        make_tables(url)
        prepare(connection, capture)
        for _ in range(4):
            connection.execute("select pg_logical_emit_message(false, 'filler', repeat('x', 16777216))")
            connection.execute("select pg_switch_wal()")
        connection.execute("checkpoint")
        with pytest.raises(PreparationError, match=r"is lost.*max_slot_wal_keep_size.*pg_drop_replication_slot"):
            prepare(connection, capture)


def test_an_older_server_is_prepared_too(tmp_path: Path, capture: Capture, make_tables: Callable[[str], None]) -> None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("this machine has no PostgreSQL of its own")
    server = EmbeddedServer(tmp_path / "postgres", binaries=Binaries(folders[0]))
    server.ensure_running()
    try:
        url = server.url("postgres", SUPERUSER)
        make_tables(url)
        assert "slot" in prepared(url, capture)
        assert prepared(url, capture) == []
    finally:
        server.remove()
