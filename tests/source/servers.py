"""How a test looks at a server, and starts one in another process."""

import contextlib
from pathlib import Path

import psycopg

from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.postmaster import read_pid_file
from dvd_rental_dagster.source.server import EmbeddedServer

START = """
import sys
from pathlib import Path
from dvd_rental_dagster.source.server import EmbeddedServer
from dvd_rental_dagster.source.postmaster import read_pid_file
server = EmbeddedServer(Path(sys.argv[1]))
server.ensure_running()
print(read_pid_file(server.data).pid, flush=True)
"""


def ask(server: EmbeddedServer, question: str, *, local: bool = False) -> str:
    with psycopg.connect(server.url("postgres", SUPERUSER, local=local)) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return str(row[0])


def pid_of(server: EmbeddedServer) -> int:
    pid_file = read_pid_file(server.data)
    assert pid_file is not None
    return pid_file.pid


def exists(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
