"""Homes of the product: one with the real database in it, and empty ones."""

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
    try:
        yield home
    finally:
        home.cli("reset", "--yes")
