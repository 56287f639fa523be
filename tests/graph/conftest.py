"""Homes of the product: one with the real database in it, loaded ones, and empty ones."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home


@pytest.fixture(scope="module")
def real_home(tmp_path_factory: pytest.TempPathFactory, dvdrental_dump: Path) -> Iterator[Home]:
    """The real database, taken through the whole graph once."""
    home = Home(tmp_path_factory.mktemp("real") / "home", {"DVD_RENTAL_DUMP": str(dvdrental_dump)})
    try:
        home.cli("run")
        yield home
    finally:
        home.cli("reset", "--yes")


@pytest.fixture
def empty_home(tmp_path: Path) -> Iterator[Home]:
    """A home where nothing was done yet; what a test starts in it is stopped and removed."""
    home = Home(tmp_path / "home", {})
    yield home
    _remove(home)


@pytest.fixture
def loaded_home(tmp_path: Path, _loaded_and_down: Home) -> Iterator[Home]:
    """A home whose source has generated data and is up, and whose warehouse has its rows; no model was built."""
    home = Home(tmp_path / "home", {})
    subprocess.run(["/bin/cp", "-a", _loaded_and_down.path, home.path], check=True)  # with its owners
    try:
        home.cli("up")
        yield home
    finally:
        _remove(home)


@pytest.fixture(scope="session")
def _loaded_and_down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """What the loaded homes are copies of."""
    home = Home(tmp_path_factory.mktemp("loaded") / "home", {})
    try:
        home.sync()
        home.cli("down")
        yield home
    finally:
        _remove(home)


def _remove(home: Home) -> None:
    if home.path.exists():
        home.cli("reset", "--yes")
