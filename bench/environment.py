"""Environments of the peers: their packages cannot live beside the project's."""

import re
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
    """The packages that a peer needs, pinned, the peer itself first; ``java`` is the oldest Java that it runs on."""

    packages: tuple[str, ...]
    java: int | None = None

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
        if self.java is not None and (found := _java_version()) < self.java:
            raise UnavailableError(f"{self.peer} needs Java {self.java}, and this machine has {found or 'none'}")
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


def _java_version() -> int:
    """The machine's Java, such as 17; 0 where there is none."""
    java = shutil.which("java")
    if java is None:
        return 0
    said = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    number = re.search(r'version "(\d+)', said)
    return int(number[1]) if number else 0
