"""One home of the product, used as a user does: through the command line, here or in processes of its own."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob

from dvd_rental_dagster.cli import main
from dvd_rental_dagster.settings import PROJECT_ROOT, Settings, load_settings
from dvd_rental_dagster.source.endpoint import embedded_server
from dvd_rental_dagster.source.server import EmbeddedServer
from dvd_rental_dagster.transformation.project import manifest

BIN = Path(sys.executable).parent


def load_graph() -> None:
    """Load the code location anew where this process has loaded it with other parts than are now chosen."""
    definitions = sys.modules.get("dvd_rental_dagster.definitions")
    if definitions is None:
        return
    chosen, loaded = load_settings(), definitions.settings
    if (chosen.engine, chosen.warehouse) != (loaded.engine, loaded.warehouse):
        importlib.reload(definitions)
        ReconstructableJob.get_repository_definition.cache_clear()
        ReconstructableJob.get_definition.cache_clear()


@dataclass(frozen=True)
class Home:
    """One ``DVD_RENTAL_HOME`` and the command line over it."""

    path: Path
    settings: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVD_RENTAL_", "DAGSTER_"))}
        ours = {"DVD_RENTAL_HOME": str(self.path), "HOME": str(self.path.parent)}  # where dg leaves files
        return {**kept, **self.settings, **ours, "PATH": f"{BIN}:{os.environ['PATH']}"}

    @property
    def published(self) -> Path:
        return self.path / "published" / "warehouse.duckdb"

    @property
    def warehouse(self) -> Path:
        return self.path / "warehouse.duckdb"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*arguments], env=self.environment, cwd=PROJECT_ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*arguments], env=self.environment, cwd=PROJECT_ROOT, text=True, capture_output=True, check=False
        )
        assert done.returncode == expected, f"{arguments} ended {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    def cli(self, *arguments: str) -> str:
        """What ``dvd-rental`` prints, in this process, which has most of it loaded for other tests too."""
        return self.told(*arguments)[0]

    def told(self, *arguments: str, expected: int = 0) -> tuple[str, str]:
        """What ``dvd-rental`` prints, and what it says beside that, in this process."""
        with self.chosen(), pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "argv", ["dvd-rental", *arguments])
            out, err = StringIO(), StringIO()
            with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
                main()
        told = out.getvalue(), err.getvalue()
        assert (end.value.code or 0) == expected, told
        return told

    def run_here(self, expected: int = 0) -> tuple[str, str]:
        """What ``dvd-rental run`` prints and says, in this process, which has the graph loaded for other tests too."""
        with self.chosen() as settings:
            load_graph()
            manifest(settings)  # as who loads the graph for the first time
        return self.told("run", expected=expected)

    @contextmanager
    def chosen(self) -> Iterator[Settings]:
        """This home's settings, which are this process's meanwhile."""
        with pytest.MonkeyPatch.context() as environment:
            for name in {*os.environ} - {*self.environment}:
                environment.delenv(name)
            for name, value in (self.settings | {"DVD_RENTAL_HOME": str(self.path)}).items():
                environment.setenv(name, value)
            yield load_settings()

    def query(self, statement: str) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = json.loads(self.cli("query", statement, "--format", "json"))
        return answer

    def sync(self) -> dict[str, Any]:
        moved: dict[str, Any] = json.loads(self.cli("sync", "--format", "json"))
        return moved

    @property
    def server(self) -> EmbeddedServer:
        """The source's server, running or not."""
        return embedded_server(Settings(_env_file=None, home=self.path))

    @property
    def source_url(self) -> str:
        """The owner's connection string, as ``dvd-rental source url`` prints it."""
        return self.settings.get("DVD_RENTAL_SOURCE_URL") or self.server.url()

    def copy_to(self, path: Path) -> "Home":
        """A home that has all that this one has, whose server is down."""
        subprocess.run(["/bin/cp", "-a", self.path, path], check=True)  # with its owners
        return Home(path, self.settings)

    def remove(self) -> None:
        """Stop the server and leave nothing behind."""
        self.server.remove()
        if self.path.exists():
            shutil.rmtree(self.path)

    def execute(self, *statements: str) -> None:
        """Run the statements at the source, in one transaction."""
        with psycopg.connect(self.source_url) as connection:
            for statement in statements:
                connection.execute(statement)


@dataclass(frozen=True)
class Demonstrated:
    """A home where the demo ran once, and what it printed."""

    home: Home
    printed: str
