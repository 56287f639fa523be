import subprocess
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.errors import ArchiveError
from dvd_rental_dagster.source.binaries import Binaries, find_binaries
from dvd_rental_dagster.source.cluster import OWNER, SUPERUSER
from dvd_rental_dagster.source.restore import restore_archive
from dvd_rental_dagster.source.server import EmbeddedServer

ROWS = {
    "actor": 200,
    "address": 603,
    "category": 16,
    "city": 600,
    "country": 109,
    "customer": 599,
    "film": 1000,
    "film_actor": 5462,
    "film_category": 1000,
    "inventory": 4581,
    "language": 6,
    "payment": 14596,
    "rental": 16044,
    "staff": 2,
    "store": 2,
}


@pytest.fixture
def standing(server: EmbeddedServer) -> Iterator[str]:
    """The owner's URL of a database that stood before, with one table."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server.url("postgres", OWNER), autocommit=True) as connection:
        connection.execute(f"create database {name}")
    with psycopg.connect(server.url(name, OWNER)) as connection:
        connection.execute("create table stood as select 42 as answer")
    yield server.url(name, OWNER)
    with psycopg.connect(server.url("postgres", OWNER), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def archive(tables: str, tmp_path: Path) -> Path:
    """An archive of a DVD Rental."""
    return dump(tables, tmp_path / "rental.tar")


def dump(url: str, to: Path, form: str = "tar") -> Path:
    subprocess.run([find_binaries().program("pg_dump"), "--format", form, "--file", to, url], check=True)
    return to


def counts(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        return {
            name: row[0]
            for name in STREAM_NAMES
            if (row := connection.execute(f"select count(*) from {name}").fetchone()) is not None
        }


def assert_refused(standing: str, archive: Path, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason) as refusal:
        restore_archive(standing, archive, find_binaries())
    assert str(archive) in str(refusal.value)
    with psycopg.connect(standing) as connection:
        assert connection.execute("select answer from stood").fetchone() == (42,)
        name = connection.info.dbname
        assert connection.execute(
            "select datname from pg_database where datname like %s", (f"{name}%",)
        ).fetchall() == [(name,)]


def test_the_real_archive_is_restored(standing: str, dvdrental_dump: Path) -> None:
    restore_archive(standing, dvdrental_dump, find_binaries())
    assert counts(standing) == ROWS


def test_what_is_restored_belongs_to_who_restores(standing: str, dvdrental_dump: Path) -> None:
    restore_archive(standing, dvdrental_dump, find_binaries())
    with psycopg.connect(standing) as connection:
        owners = connection.execute(
            "select distinct relowner::regrole::text from pg_class where relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert owners == [(OWNER,)]


def test_a_restored_database_knows_its_statistics(standing: str, dvdrental_dump: Path) -> None:
    restore_archive(standing, dvdrental_dump, find_binaries())
    with psycopg.connect(standing) as connection:
        assert connection.execute("select reltuples from pg_class where relname = 'rental'").fetchone() == (16044,)


def test_the_tutorials_zip_is_restored(standing: str, dvdrental_dump: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "dvdrental.zip", "w") as archive:
        archive.write(dvdrental_dump, "dvdrental.tar")
    restore_archive(standing, tmp_path / "dvdrental.zip", find_binaries())
    assert counts(standing) == ROWS


def test_an_older_server_is_restored_to(dvdrental_dump: Path, tmp_path: Path) -> None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("this machine has no PostgreSQL of its own")
    server = EmbeddedServer(tmp_path / "postgres", binaries=Binaries(folders[0]))
    server.ensure_running()
    try:
        restore_archive(server.url(), dvdrental_dump, find_binaries())
        assert counts(server.url()) == ROWS
    finally:
        server.remove()


def test_a_truncated_archive_is_refused(standing: str, dvdrental_dump: Path, tmp_path: Path) -> None:
    truncated = tmp_path / "dvdrental.tar"
    truncated.write_bytes(dvdrental_dump.read_bytes()[:2_000_000])
    assert_refused(standing, truncated, "is damaged: unexpected end of data")


def test_an_archive_with_a_damaged_row_is_refused(standing: str, dvdrental_dump: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "dvdrental.tar"
    content = dvdrental_dump.read_bytes()
    damaged.write_bytes(content.replace(b"2005-05-24 22:53:30", b"2005-99-24 22:53:30"))
    assert_refused(standing, damaged, "2005-99-24")


def test_every_format_of_one_file_is_restored(standing: str, tables: str, tmp_path: Path) -> None:
    restore_archive(standing, dump(tables, tmp_path / "rental.dump", "custom"), find_binaries())
    assert set(counts(standing).values()) == {0}


def test_a_missing_file_is_refused(standing: str, tmp_path: Path) -> None:
    assert_refused(standing, tmp_path / "dvdrental.tar", "is missing")


def test_a_folder_is_refused(standing: str, tmp_path: Path) -> None:
    assert_refused(standing, tmp_path, "is a folder")


@pytest.mark.parametrize("content", [b"", b"create table actor ();\n", b"\0" * 4096])
def test_what_is_no_archive_is_refused(standing: str, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dvdrental.tar").write_bytes(content)
    assert_refused(standing, tmp_path / "dvdrental.tar", "no archive of pg_dump")


def test_an_archive_of_another_database_is_refused(standing: str, database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("create table actor (actor_id int primary key); create table guest (id int);")
    assert_refused(
        standing, dump(database, tmp_path / "other.tar"), "no DVD Rental database: it lacks the tables address"
    )


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("alter table payment drop column amount cascade", "table payment lacks amount"),
        (
            "alter table film_actor drop constraint film_actor_pkey",
            r"film_actor lacks the primary key \(actor_id, film_id\)",
        ),
    ],
)
def test_an_archive_of_a_changed_database_is_refused(
    standing: str, tables: str, tmp_path: Path, change: str, difference: str
) -> None:
    with psycopg.connect(tables) as connection:
        connection.execute(change)
    assert_refused(standing, dump(tables, tmp_path / "changed.tar"), difference)


def test_a_zip_without_an_archive_is_refused(standing: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("photo.jpeg", b"")
    assert_refused(standing, tmp_path / "photos.zip", "holds 0 tar files")


def test_a_truncated_zip_is_refused(standing: str, archive: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as packed:
        packed.write(archive, "dvdrental.tar")
    truncated = tmp_path / "dvdrental.zip"
    truncated.write_bytes(whole.read_bytes()[:5000])
    assert_refused(standing, truncated, "damaged zip")


def test_a_damaged_zip_is_refused(standing: str, archive: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "dvdrental.zip"
    with zipfile.ZipFile(damaged, "w") as packed:
        packed.write(archive, "dvdrental.tar")
    content = bytearray(damaged.read_bytes())
    content[5000] ^= 0xFF
    damaged.write_bytes(content)
    assert_refused(standing, damaged, "damaged zip")


def test_a_zip_writes_nothing_outside_its_own_folder(standing: str, archive: Path, tmp_path: Path) -> None:
    sly = tmp_path / "sly.zip"
    with zipfile.ZipFile(sly, "w") as packed:
        packed.write(archive, "../../../../escaped.tar")
    before = {path for parent in tmp_path.parents for path in parent.glob("escaped.tar")}
    restore_archive(standing, sly, find_binaries())
    assert before == {path for parent in tmp_path.parents for path in parent.glob("escaped.tar")} == set()
    assert set(counts(standing).values()) == {0}


def test_a_restore_tells_how_far_it_is(standing: str, archive: Path) -> None:
    told: list[tuple[int, int | None]] = []
    restore_archive(standing, archive, find_binaries(), lambda _what, done, total: told.append((done, total)))
    assert told == [(done, 15) for done in (*range(15), 15)]


def test_the_superuser_restores_too(server: EmbeddedServer, standing: str, archive: Path) -> None:
    with psycopg.connect(standing) as connection:
        name = connection.info.dbname
    restore_archive(server.url(name, SUPERUSER), archive, find_binaries())
    assert set(counts(server.url(name, SUPERUSER)).values()) == {0}
    with psycopg.connect(server.url("postgres", SUPERUSER)) as connection:
        connection.execute(f"alter database {name} owner to {OWNER}")
