"""Over TLS with full verification a sync ends where it does without, and a server that is not the one is refused."""

import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from replica import STREAMS, TABLES, Replica

from dvd_rental_dagster.errors import SourceUnreachableError
from dvd_rental_dagster.replication.bulk_session import bulk_session
from dvd_rental_dagster.replication.session import connect, connect_replication
from dvd_rental_dagster.source.account import server_account
from dvd_rental_dagster.source.binaries import Binaries
from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.connection_string import build, parts
from dvd_rental_dagster.source.server import EmbeddedServer

pytestmark = pytest.mark.xdist_group("encrypted")  # one server for all of them

OPENSSL = shutil.which("openssl")
INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))


def make_authority(folder: Path, name: str) -> Path:
    """A certificate authority; returns its certificate, whose key lies beside it."""
    request(folder, name, "-subj", f"/CN={name}")
    return folder / f"{name}.crt"


def request(folder: Path, name: str, *arguments: str | Path) -> None:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    files = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt")
    subprocess.run([OPENSSL or "", "req", "-x509", *curve, *files, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two authorities, ``ours`` and ``other``, and of the certificate that ours gave to ``localhost``."""
    if OPENSSL is None:
        pytest.skip("this machine has no openssl to make certificates")
    folder = tmp_path_factory.mktemp("certificates")
    ours = make_authority(folder, "ours")
    make_authority(folder, "other")
    signed_by_us = ("-CA", ours, "-CAkey", ours.with_suffix(".key"))
    extensions = ("-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:false")
    request(folder, "server", *signed_by_us, "-subj", "/CN=localhost", *extensions)
    return folder


@pytest.fixture(scope="module")
def encrypting(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server that accepts nothing but TLS, of the machine's own programs: the embedded ones are built without."""
    if not INSTALLED:
        pytest.skip("this machine has no PostgreSQL built with TLS in /usr/lib/postgresql")
    root = tmp_path_factory.mktemp("encrypting") / "postgres"
    programs = Binaries(INSTALLED[-1].parent)
    unencrypted = EmbeddedServer(root, options={"fsync": "off"}, binaries=programs)
    server = EmbeddedServer(root, options={"fsync": "off", "ssl": "on"}, binaries=programs)
    try:
        unencrypted.ensure_running()
        unencrypted.stop()
        for name in ("server.key", "server.crt"):
            shutil.copy(certificates / name, server.data)
            (server.data / name).chmod(0o600)
            server_account(server.data).own(server.data / name)
        access = server.data / "pg_hba.conf"
        access.write_text(access.read_text().replace("host ", "hostssl "))
        server.ensure_running()
        yield server
    finally:
        server.remove()


@pytest.fixture
def replica(encrypting: EmbeddedServer, certificates: Path, tmp_path: Path) -> Replica:
    """A replica, not loaded yet, that trusts our authority alone."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(encrypting.url("postgres", SUPERUSER, local=True), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    settings = {"host": "localhost", "sslmode": "verify-full", "sslrootcert": str(certificates / "ours.crt")}
    url = build({**parts(encrypting.url(name, SUPERUSER)), **settings})
    replica = Replica(url, tmp_path / "warehouse.duckdb", STREAMS)
    replica.execute(TABLES)
    replica.prepare()
    return replica


def change(replica: Replica, first: int) -> None:
    replica.execute(
        f"insert into item select i, 'item ' || i, i, repeat('x', 500) from generate_series({first}, {first} + 4999) i"
    )


def test_snapshot_and_log_go_over_verified_tls(replica: Replica) -> None:
    change(replica, 1)
    assert replica.sync().streams["item"].snapshot == 5000
    change(replica, 5001)
    replica.execute("delete from item where id % 7 = 0", "update item set notes = repeat('y', 50000) where id = 1")
    assert replica.sync().streams["item"].inserted == 5000
    replica.assert_equal()
    assert replica.source("select ssl from pg_stat_ssl where pid = pg_backend_pid()") == [(True,)]


@pytest.mark.parametrize("open_session", [connect, connect_replication, bulk_session])
@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"sslrootcert": "other.crt"}, "certificate verify failed"),
        ({"host": "127.0.0.1"}, 'does not match host name "127.0.0.1"'),
        ({"sslmode": "disable"}, "no encryption"),
    ],
    ids=["another authority", "another host", "no encryption"],
)
def test_a_server_that_is_not_verified_is_refused(
    replica: Replica,
    certificates: Path,
    settings: dict[str, str],
    match: str,
    open_session: Callable[[str], AbstractContextManager[object]],
) -> None:
    if "sslrootcert" in settings:
        settings = {"sslrootcert": str(certificates / settings["sslrootcert"])}
    url = build({**parts(replica.url), **settings})
    with pytest.raises(SourceUnreachableError, match=f"{match}.*DVD_RENTAL_SOURCE_URL"), open_session(url):
        pass
