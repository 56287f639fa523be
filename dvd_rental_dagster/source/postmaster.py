"""What a running PostgreSQL leaves in its data folder, and whether its processes live.

Every process of the server inherits a lock on the file ``running``, taken before the server starts: the lock is free
when the last of them, survivors of a killed postmaster included, is gone. A process number alone would not say so, for
the kernel gives numbers out again.
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dvd_rental_dagster.errors import ServerError
from dvd_rental_dagster.source.account import Account

_POLL_SECONDS = 0.02
_GLANCE_SECONDS = 2.0  # who asks whether the server lives holds the lock for a moment
_LINES_WHEN_LISTENING = 8
# Run inside the data folder, by the account that owns the processes: nobody else, root in a container included, may
# ask where a process works (man 5 proc, /proc/pid/cwd).
_PROCESSES_WORKING_HERE = """
for process in /proc/[0-9]*; do
    if [ "$process/cwd" -ef . ] && grep -qx postgres "$process/comm"; then echo "${process#/proc/}"; fi
done 2>/dev/null
if [ ! -d /proc/self ]; then lsof -t -a -c postgres -d cwd .; fi
"""


@dataclass(frozen=True)
class PidFile:
    """``postmaster.pid`` (src/include/utils/pidfile.h): the server's process, where it listens, whether it is ready."""

    pid: int
    port: int
    socket_folder: Path
    ready: bool


def read_pid_file(data: Path) -> PidFile | None:
    """The pid file of the server over ``data``; None where there is none or it is not complete yet."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < _LINES_WHEN_LISTENING or not lines[3].strip().isdigit():
        return None
    return PidFile(abs(int(lines[0])), int(lines[3]), Path(lines[4].strip()), lines[7].strip() == "ready")


def lock_for_server(path: Path) -> int:
    """Take the lock that the server's processes are to inherit; the file descriptor holds it.

    Raises:
        ServerError: processes of a server hold it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not wait_until(lambda: _lock(descriptor, fcntl.LOCK_EX), _GLANCE_SECONDS):
        os.close(descriptor)
        raise ServerError(f"Processes of a PostgreSQL server still hold {path}.")
    return descriptor


def is_held(path: Path) -> bool:
    """Whether any process of the server lives."""
    if not path.exists():
        return False
    with path.open() as file:
        return not _lock(file.fileno(), fcntl.LOCK_SH)


def end_survivors(data: Path, account: Account) -> None:
    """Kill the server processes that work in ``data`` and outlived their postmaster.

    Nothing is lost by it: without a postmaster their shared memory is void, and the log holds all that was committed.
    """
    found = subprocess.run(
        ["/bin/sh", "-c", _PROCESSES_WORKING_HERE],
        cwd=data,
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        **account.process_user,
    )
    for pid in found.stdout.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended by itself


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``condition`` holds, at most ``seconds``; whether it came to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
