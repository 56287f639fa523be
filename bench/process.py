"""Measured work in processes of its own, so that time and memory are nobody else's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.child import Sample
from dvd_rental_dagster.errors import DvdRentalError
from dvd_rental_dagster.settings import PROJECT_ROOT

_GOODBYE_SECONDS = 20
_LAST_LINES = 15


class BenchError(DvdRentalError):
    """A measure could not be taken, or would not be true."""


class Process:
    """A module of the bench that runs as a program and answers requests (``bench.child``).

    It is deaf to the terminal's interrupt, which is this process's to handle: leaving the context ends it.
    """

    def __init__(self, module: str, folder: Path, python: Path = Path(sys.executable)) -> None:
        self._module = module
        self._log = folder / f"{module}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [python, "-m", module],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        self._process.communicate(timeout=_GOODBYE_SECONDS)

    def ask(self, **request: Any) -> Sample:
        """Have it do one thing and wait for the figures.

        Raises:
            BenchError: it ended instead; the message quotes the last lines it wrote.
        """
        assert self._process.stdin is not None  # noqa: S101  # both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            said = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
            raise BenchError(f"{self._module} ended without an answer. It said last: {' | '.join(said)}")
        return Sample(**json.loads(line))
