"""Where the embedded PostgreSQL listens: a free port of the loopback, and a socket in a folder with a short path."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

from dvd_rental_dagster.errors import ServerError
from dvd_rental_dagster.source.account import Account

HOST = "127.0.0.1"

_FOLDER_PREFIX = "dvd-rental-"
_LONGEST_NAMES = ("dvd-rental-12345678", ".s.PGSQL.65535")
_SOCKET_PATH_LIMIT = 103  # bytes: sun_path has 108 on Linux and 104 on macOS, with the closing zero (man 7 unix)


def free_port(preferred: int) -> int:
    """``preferred`` where it is free, else any free port; 0 prefers none.

    Raises:
        ServerError: every port is taken.
    """
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerError(f"No port of {HOST} is free. Stop some of the programs that listen there.")


def make_socket_folder(account: Account) -> Path:
    """A new folder that only the account enters, with a path short enough for a socket; a home's own may not be.

    Raises:
        ServerError: the machine has no temporary folder that the account can use.
    """
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108  mkdtemp's folder is private
        if len(os.fsencode(parent.joinpath(*_LONGEST_NAMES))) <= _SOCKET_PATH_LIMIT and account.reaches(parent):
            folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=parent))
            account.own(folder)
            return folder
    raise ServerError(
        "PostgreSQL has no folder for its socket: /tmp is missing or closed. Open it with: chmod 1777 /tmp"
    )


def remove_socket_folder(folder: Path) -> None:
    """Remove a folder that ``make_socket_folder`` made; any other is left alone."""
    if folder.name.startswith(_FOLDER_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
