"""Homes of the product: with the real database in them, built, loaded, and empty; most are copies of one made once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from home import Demonstrated, Home


@contextmanager
def _put_by(home: Home) -> Iterator[Home]:
    """The home, down and under another name: dbt need not parse anew for a copy that is where the home was."""
    kept = Home(home.path.with_name("kept"), home.settings)
    try:
        home.server.stop()
        home.path.rename(kept.path)
        yield kept
    finally:
        kept.remove()


@pytest.fixture(scope="session")
def _real_and_down(tmp_path_factory: pytest.TempPathFactory, dvdrental_dump: Path) -> Iterator[Home]:
    """The real database, taken through the whole graph once."""
    home = Home(tmp_path_factory.mktemp("real") / "home", {"DVD_RENTAL_DUMP": str(dvdrental_dump)})
    try:
        home.run_here()
        with _put_by(home) as kept:
            yield kept
    finally:
        home.remove()


@pytest.fixture(scope="module")
def real_home(_real_and_down: Home) -> Iterator[Home]:
    """A home whose source is up and has the real database, taken through the whole graph."""
    home = _real_and_down.copy_to(_real_and_down.path.with_name("home"))
    try:
        home.server.ensure_running()
        yield home
    finally:
        home.remove()


@pytest.fixture(scope="session")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstrated]:
    """What the built homes are copies of: made by the demo, from nothing; its source is down."""
    home = Home(tmp_path_factory.mktemp("built") / "home", {})
    try:
        printed = home.run("dvd-rental", "demo").stdout
        with _put_by(home) as kept:
            yield Demonstrated(kept, printed)
    finally:
        home.remove()


@pytest.fixture(scope="module")
def built_home(demonstrated: Demonstrated) -> Iterator[Home]:
    """A home whose source has generated data and is up, taken through the whole graph."""
    home = demonstrated.home.copy_to(demonstrated.home.path.with_name("home"))
    try:
        home.server.ensure_running()
        yield home
    finally:
        home.remove()


@pytest.fixture
def empty_home(tmp_path: Path) -> Iterator[Home]:
    """A home where nothing was done yet; what a test starts in it is stopped and removed."""
    home = Home(tmp_path / "home", {})
    yield home
    home.remove()


@pytest.fixture
def loaded_home(tmp_path: Path, _loaded_and_down: Home) -> Iterator[Home]:
    """A home whose source has generated data and is up, and whose warehouse has its rows; no model was built."""
    home = _loaded_and_down.copy_to(tmp_path / "home")
    try:
        home.server.ensure_running()
        yield home
    finally:
        home.remove()


@pytest.fixture(scope="session")
def _loaded_and_down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """What the loaded homes are copies of."""
    home = Home(tmp_path_factory.mktemp("loaded") / "home", {})
    try:
        home.sync()
        home.server.stop()
        yield home
    finally:
        home.remove()
