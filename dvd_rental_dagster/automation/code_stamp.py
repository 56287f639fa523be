"""Which state of the project's files a process has loaded."""

import hashlib

from dvd_rental_dagster.settings import PROJECT_ROOT
from dvd_rental_dagster.transformation.project import fingerprint


def code_stamp() -> str:
    """A digest of the package's modules, by name, size and time of change, of ``.env``, and of the dbt project."""
    digest = hashlib.sha256(fingerprint().encode())
    for path in sorted([*(PROJECT_ROOT / "dvd_rental_dagster").rglob("*.py"), *PROJECT_ROOT.glob(".env")]):
        state = path.stat()
        digest.update(f"{path} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()
