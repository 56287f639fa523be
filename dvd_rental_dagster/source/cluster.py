"""The data folder of the embedded PostgreSQL, made whole or not at all.

PostgreSQL calls it a database cluster (documentation, 18.2 "Creating a Database Cluster").
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from dvd_rental_dagster.errors import ServerError
from dvd_rental_dagster.source.account import Account
from dvd_rental_dagster.source.binaries import Binaries

SUPERUSER = "postgres"
OWNER = "dvdrental"
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}

_LAST_LINES = 12
# The rights that a managed service gives to the owner of a database: all but superuser.
_MAKE_OWNER = sql.SQL(
    "create role {owner} login createdb createrole replication password {password};\n"
    "grant pg_monitor, pg_signal_backend to {owner};\n"
)


def make_cluster(data: Path, programs: Binaries, account: Account, *, superuser: str, owner: str) -> None:
    """Make the folder ``data`` with its two roles; ``superuser`` and ``owner`` are their passwords.

    It is made under another name and renamed at the end, so that one left half made is never used.

    Raises:
        ServerError: initdb or the making of the roles fails; the message quotes the reason.
    """
    unfinished = data.with_name(f"{data.name}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    account.own(unfinished)
    _initdb(unfinished, programs, account, superuser)
    _make_owner(unfinished, programs, account, owner)
    unfinished.rename(data)


@contextmanager
def reachable(data: Path, account: Account) -> Iterator[tuple[str, list[int]]]:
    """How a process of the account names the folder ``data``, and the file descriptors that it has to inherit for it.

    The account needs permission on its data and on no folder above it: where it cannot reach ``data`` by its path, as
    ``nobody`` below ``/root``, an open descriptor of the folder leads there.

    Raises:
        ServerError: the account cannot reach the folder, and this system has no ``/proc``.
    """
    if account.reaches(data):
        yield str(data), []
        return
    if not Path("/proc/self/fd").exists():
        raise ServerError(
            f"PostgreSQL does not run as root, and the account that runs it cannot reach {data}. "
            "Choose a folder that every account can reach with DVD_RENTAL_HOME."
        )
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}", [descriptor]
    finally:
        os.close(descriptor)


def refuse_other_version(data: Path, programs: Binaries) -> None:
    """Refuse programs that cannot read the data.

    Raises:
        ServerError: another major version made it.
    """
    made_by = int((data / "PG_VERSION").read_text())
    found = programs.major_version()
    if made_by != found:
        raise ServerError(
            f"{data} was made by PostgreSQL {made_by} and the programs found are version {found}. "
            f"Install PostgreSQL {made_by}, or start over with: dvd-rental reset"
        )


def _initdb(data: Path, programs: Binaries, account: Account, password: str) -> None:
    # The file with the password has no name, so nobody else reads it.
    with tempfile.TemporaryFile() as secret, reachable(data, account) as (folder, descriptors):
        secret.write(password.encode())
        secret.seek(0)
        account.own(secret.fileno())
        made = subprocess.run(
            [
                programs.program("initdb"),
                f"--pgdata={folder}",
                f"--username={SUPERUSER}",
                f"--pwfile=/dev/fd/{secret.fileno()}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
            ],
            cwd="/",
            env=ENVIRONMENT,
            pass_fds=[secret.fileno(), *descriptors],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **account.process_user,
        )
    if made.returncode != 0:
        raise ServerError(f"initdb failed for {data}: {last_lines(made.stdout)}")


def _make_owner(data: Path, programs: Binaries, account: Account, password: str) -> None:
    statements = _MAKE_OWNER.format(owner=sql.Identifier(OWNER), password=sql.Literal(password)).as_string()
    with reachable(data, account) as (folder, descriptors):
        made = subprocess.run(
            [programs.program("postgres"), "--single", "-D", folder, "postgres"],
            cwd="/",
            env=ENVIRONMENT,
            pass_fds=descriptors,
            input=statements,
            capture_output=True,
            text=True,
            check=False,
            **account.process_user,
        )
    if made.returncode != 0 or "ERROR" in made.stderr:  # single-user mode goes on after an error
        raise ServerError(f"The role {OWNER} could not be made in {data}: {last_lines(made.stderr)}")


def last_lines(text: str) -> str:
    """The end of a program's output, on one line."""
    return " | ".join(text.strip().splitlines()[-_LAST_LINES:])
