"""The ways in which a server goes away."""

import os
import signal

from dvd_rental_dagster.source.account import server_account
from dvd_rental_dagster.source.postmaster import end_survivors
from dvd_rental_dagster.source.server import EmbeddedServer


def fast(server: EmbeddedServer) -> None:
    """Shut down in order, everybody disconnected."""
    server.stop()


def immediate(server: EmbeddedServer) -> None:
    """Shut down at once (``pg_ctl stop -m immediate``); the next start replays the log."""
    os.kill(_postmaster(server), signal.SIGQUIT)
    assert server._ends_within(60)


def killed(server: EmbeddedServer) -> None:
    """SIGKILL the server, its processes with it."""
    os.kill(_postmaster(server), signal.SIGKILL)
    end_survivors(server.data, server_account(server.data))
    assert server._ends_within(60)


def _postmaster(server: EmbeddedServer) -> int:
    pid_file = server._pid_file()
    assert pid_file is not None
    return pid_file.pid
