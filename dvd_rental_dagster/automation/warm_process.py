"""The starting side of the zygote: starts it when there is none, and again when the project's files changed."""

import json
import subprocess
import sys
from threading import Lock

from dvd_rental_dagster.errors import GraphError
from dvd_rental_dagster.settings import PROJECT_ROOT

READY = "ready"
"""What the zygote says when everything is loaded."""

STALE = "stale"
"""What it answers, and ends, when the project's files are no longer those that it has loaded."""


class WarmProcess:
    """One zygote at a time; it ends with this process, or when this object is closed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._zygote: subprocess.Popen[str] | None = None

    @property
    def is_started(self) -> bool:
        """Whether there is a zygote; it may end at any time, and is started again then."""
        return self._zygote is not None

    def fork_run(self, run_id: str, instance_ref: str) -> int:
        """Have the run executed in a child of the zygote; return the child's process id.

        Raises:
            GraphError: the zygote does not start; its own output tells why.
        """
        request = json.dumps({"run_id": run_id, "instance": instance_ref})
        with self._lock:
            answer = self._ask(request)
            if answer in {"", STALE}:
                self._stop()
                answer = self._ask(request)
        if not answer.isdigit():
            raise GraphError(
                "The process that runs are forked from ended. Its output, above this in the daemon's log, tells why; "
                "dagster definitions validate -m dvd_rental_dagster.definitions tells whether the project loads."
            )
        return int(answer)

    def close(self) -> None:
        """End the zygote; runs that were forked from it go on."""
        with self._lock:
            self._stop()

    def _ask(self, request: str) -> str:
        """The zygote's answer to one request; empty when it ended instead."""
        zygote = self._zygote or self._start()
        if zygote is None or zygote.stdin is None or zygote.stdout is None:
            return ""
        try:
            zygote.stdin.write(request + "\n")
            zygote.stdin.flush()
        except BrokenPipeError:
            return ""
        return zygote.stdout.readline().strip()

    def _start(self) -> subprocess.Popen[str] | None:
        zygote = subprocess.Popen(
            [sys.executable, "-m", "dvd_rental_dagster.automation.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT_ROOT,
        )
        self._zygote = zygote
        if zygote.stdout is None or zygote.stdout.readline().strip() != READY:
            self._stop()
            return None
        return zygote

    def _stop(self) -> None:
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            with zygote:
                pass
