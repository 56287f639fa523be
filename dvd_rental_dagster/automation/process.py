"""The operating system's process that executes a run, as noted on the run."""

import os

PID_TAG = "dvd_rental/pid"
"""Tag of a run: the id of its process on the machine that holds Dagster's records."""


def is_alive(pid: int) -> bool:
    """Whether there is such a process, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
