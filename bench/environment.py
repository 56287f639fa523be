"""Environments of the peers: their packages cannot live beside the project's."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.process import BenchError
from dvd_rental_dagster.settings import PROJECT_ROOT


class UnavailableError(BenchError):
    """A peer cannot be measured here."""


@dataclass(frozen=True)
class Environment:
    """The packages that a peer needs, pinned; the first is the peer itself. ``program`` has to be on the machine."""

    packages: tuple[str, ...]
    program: str = ""

    @property
    def peer(self) -> str:
        """The peer and its version, such as ``dlt 1.31.0``."""
        name, _, number = self.packages[0].partition("==")
        return f"{name.partition('[')[0]} {number}"

    def python(self, folder: Path, *, installs: bool) -> Path:
        """The interpreter of the environment in ``folder``, which is made if need be; a half-made one is made anew.

        Raises:
            UnavailableError: it is not there and is not to be made, or cannot be.
        """
        if self.program and shutil.which(self.program) is None:
            raise UnavailableError(f"{self.peer} needs {self.program}, which this machine does not have")
        environment = folder / self.peer.replace(" ", "-")
        python, made = environment / "bin" / "python", environment / "made"
        wanted = "\n".join((sys.version, *self.packages))
        if made.exists() and made.read_text() == wanted:
            return python
        if not installs:
            raise UnavailableError(f"{self.peer} is not installed in {folder}")
        uv = shutil.which("uv") or str(PROJECT_ROOT / ".uv" / "bin" / "uv")
        if not Path(uv).exists():
            raise UnavailableError("no uv to install it with: run make bench")
        commands: tuple[list[str | Path], ...] = (
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment],
            [uv, "pip", "install", "--quiet", "--python", environment, *self.packages],
        )
        for command in commands:
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                raise UnavailableError(f"{self.peer} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        made.write_text(wanted)
        return python
