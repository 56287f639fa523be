"""The account of the operating system under which the embedded PostgreSQL runs: never root, which it refuses."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from dvd_rental_dagster.errors import ServerError

UNPRIVILEGED = "nobody"


class ProcessUser(TypedDict, total=False):
    """The arguments of ``subprocess.Popen`` that give a child process to the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """Who runs the server; ``switched`` when that is somebody else than who runs this process."""

    uid: int
    gid: int
    switched: bool

    @property
    def process_user(self) -> ProcessUser:
        """What ``subprocess`` needs to start a process as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switched else {}

    def reaches(self, path: Path) -> bool:
        """Whether the account may read and enter ``path``; folders above it count, so the account itself looks."""
        looked = subprocess.run(["/bin/test", "-r", path, "-a", "-x", path], check=False, cwd="/", **self.process_user)
        return looked.returncode == 0

    def own(self, file: Path | int) -> None:
        """Give a folder or a file, by path or by open descriptor, to the account."""
        if self.switched:
            os.chown(file, self.uid, self.gid)


def server_account(data: Path) -> Account:
    """The account that runs the server over the folder ``data``: whoever is here.

    For root it is the owner of ``data`` where that exists, ``nobody`` where it does not.

    Raises:
        ServerError: root owns the data, or this machine has no account ``nobody``.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switched=False)
    if data.exists():
        status = data.stat()
        if status.st_uid == 0:
            raise ServerError(
                f"{data} belongs to root, and PostgreSQL does not run as root. "
                f"Give it away with: chown -R {UNPRIVILEGED} {data}"
            )
        return Account(status.st_uid, status.st_gid, switched=True)
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        raise ServerError(
            f"PostgreSQL does not run as root, and this machine has no account {UNPRIVILEGED!r} to run it. "
            "Run the command as an ordinary user, or name a server of your own with DVD_RENTAL_SOURCE_URL."
        ) from error
    return Account(entry.pw_uid, entry.pw_gid, switched=True)
