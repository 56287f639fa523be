"""Snowflake's emulator for the tests, in an environment of its own that is made when it is first asked for."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from filelock import FileLock

from dvd_rental_dagster.settings import PROJECT_ROOT

EMULATOR = Path(__file__).with_name("snowflake") / "emulator.py"

# The emulator knows neither roles nor virtual warehouses.
UNKNOWN_TO_IT = ["^use role", "^create role", "^grant", "^create warehouse"]


@pytest.fixture(scope="session")
def emulator_python(pytestconfig: pytest.Config) -> Path:
    """The Python of the emulator's environment, which cannot be ours: it needs another sqlglot than Dagster does."""
    uv = shutil.which("uv") or shutil.which("uv", path=PROJECT_ROOT / ".uv" / "bin")
    if uv is None:
        pytest.skip("uv is not installed")
    folder = pytestconfig.cache.mkdir(f"emulator-{sys.version_info.major}.{sys.version_info.minor}")
    python, installed = folder / "bin" / "python", folder / "installed"
    needed = ["fakesnow[server]==0.12.*", "snowflake-connector-python<5", f"duckdb=={duckdb.__version__}"]
    with FileLock(folder.with_suffix(".lock")):
        if not installed.exists() or installed.read_text() != " ".join(needed):
            for command in (["venv", "--allow-existing", "--python", sys.executable, str(folder)],
                            ["pip", "install", "--python", str(python), *needed]):  # fmt: skip
                done = subprocess.run([uv, *command], text=True, capture_output=True, check=False)
                if done.returncode:
                    pytest.skip(f"the emulator cannot be installed: {done.stderr.strip()}")
            installed.write_text(" ".join(needed))
    return python


def connect(port: int, **options: Any) -> Any:
    """A session at the emulator on the port, as this process."""
    from snowflake.connector import SnowflakeConnection  # noqa: PLC0415  # an extra, for these tests alone

    parameters = {"nop_regexes": [*UNKNOWN_TO_IT, f"^process {os.getpid()} "]}
    parameters |= {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}
    return SnowflakeConnection(
        account="fakesnow", user="fake", host="localhost", port=port, protocol="http",
        password="snow",  # noqa: S106  # of an emulator
        session_parameters=options.pop("session_parameters", {}) | parameters,
        network_timeout=60, login_timeout=60, **options,
    )  # fmt: skip


SECRET = "the-account's-password"
"""Any lets in."""


@dataclass
class Emulator:
    """The running emulator, and dbt's profile for it."""

    process: subprocess.Popen[str]
    port: int
    profiles: Path

    @property
    def connection(self) -> Any:
        return connect(self.port)

    @property
    def settings(self) -> dict[str, str]:
        """The project's settings with the emulator as the warehouse."""
        return {
            "DVD_RENTAL_WAREHOUSE": "snowflake",
            "DVD_RENTAL_SNOWFLAKE_ACCOUNT": "fakesnow",
            "DVD_RENTAL_SNOWFLAKE_USER": "fake",
            "DVD_RENTAL_SNOWFLAKE_PASSWORD": SECRET,
            "DVD_RENTAL_SNOWFLAKE_HOST": "localhost",
            "DVD_RENTAL_SNOWFLAKE_PORT": str(self.port),
            "DVD_RENTAL_SNOWFLAKE_PROTOCOL": "http",
        }

    def tell(self, command: str, path: Path) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{command} {path}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture(scope="module")
def emulator(emulator_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    folder = tmp_path_factory.mktemp("emulator")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [emulator_python, "-W", "ignore", EMULATOR],
            env=os.environ | {"TMPDIR": str(folder)},  # where it leaves the files of its stages
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    with process:
        assert process.stdout
        said = process.stdout.readline()
        assert said.startswith("ready "), (folder / "log").read_text()
        port = int(said.split()[1])
        profile = yaml.safe_load((PROJECT_ROOT / "dbt" / "profiles.yml").read_text())
        profile["dvd_rental"]["outputs"]["snowflake"] |= {"host": "localhost", "port": port, "protocol": "http"}
        (folder / "profiles.yml").write_text(yaml.safe_dump(profile))
        yield Emulator(process, port, folder)
