"""Servers that need not be made for each test: copies of one that was."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dvd_rental_dagster.source.server import EmbeddedServer


@pytest.fixture(scope="session")
def copy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], EmbeddedServer]]:
    """Copies a server without a database of its own, which is down, to the folder that is named."""
    made = EmbeddedServer(tmp_path_factory.mktemp("made") / "postgres")

    def copy(root: Path) -> EmbeddedServer:
        root.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["/bin/cp", "-a", made.root, root], check=True)  # with its owners
        return EmbeddedServer(root)

    try:
        made.ensure_running()
        made.stop()
        yield copy
    finally:
        made.remove()


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that never ran."""
    server = EmbeddedServer(tmp_path / "postgres")
    yield server
    server.remove()


@pytest.fixture
def running(tmp_path: Path, copy_server: Callable[[Path], EmbeddedServer]) -> Iterator[EmbeddedServer]:
    server = copy_server(tmp_path / "postgres")
    try:
        server.ensure_running()
        yield server
    finally:
        server.remove()
