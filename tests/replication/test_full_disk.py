"""A disk that is full while the warehouse grows or is published: named, nothing lost, and over once there is room."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from replica import PUBLICATION, Replica

from dvd_rental_dagster import cli
from dvd_rental_dagster.catalog import dump_catalog
from dvd_rental_dagster.errors import WarehouseError
from dvd_rental_dagster.publication import publish, published_warehouse
from dvd_rental_dagster.settings import Settings

Room = Callable[[Path, int], AbstractContextManager[None]]
ROWS = 8_000
_PLENTY = 64 << 20
_FILL = 1 << 16


@contextmanager
def limit(warehouse: Path, room: int) -> Iterator[None]:
    """A limit of the process on the size of a file."""
    allowed, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_size(warehouse) + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, hard))


@contextmanager
def ballast(warehouse: Path, room: int) -> Iterator[None]:
    """A file beside the warehouse that leaves as much room on the disk."""
    path = warehouse.with_name("ballast")
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(_FILL))
    os.truncate(path, max(path.stat().st_size - room, 0))
    try:
        yield
    finally:
        path.unlink()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.fixture(scope="session")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("disk")
    command = ["/bin/mount", "-t", "tmpfs", "-o", f"size={_PLENTY}", "tmpfs", str(folder)]
    if (
        os.geteuid() != 0
        or sys.platform != "linux"
        or subprocess.run(command, check=False, capture_output=True).returncode
    ):
        pytest.skip("nothing may be mounted here")
    yield folder
    subprocess.run(["/bin/umount", str(folder)], check=True)


@pytest.fixture(params=["limit", "disk"])
def room(request: pytest.FixtureRequest, replica: Replica, tmp_path: Path) -> Iterator[Room]:
    """Leaves little room for the replica's warehouse, in two ways."""
    if request.param == "limit":
        yield limit
        return
    home = request.getfixturevalue("small_disk") / tmp_path.name
    home.mkdir()
    replica.warehouse = Path(shutil.move(replica.warehouse, home))
    yield ballast
    for path in sorted(home.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    home.rmdir()


def grow(replica: Replica) -> None:
    replica.execute(
        "insert into item select i, md5(i::text) || md5((i + 1)::text), 1, null"
        f" from generate_series(101, {100 + ROWS}) as i",
        "delete from item where id < 6",
    )


def named(path: Path) -> str:
    return f"no room to write .*{path.name}.* Free some space, or move what DVD_RENTAL_HOME names"


def assert_once(replica: Replica) -> None:
    """Every version is there, and none twice."""
    replica.assert_equal()
    counted = "select count(*), count(distinct (id, _ab_cdc_lsn, _ab_cdc_deleted_at)) from history.item"
    assert replica.rows(counted) == [(20 + ROWS + 5,) * 2]


@pytest.mark.parametrize("left", [0, 400_000])
@pytest.mark.parametrize("resync", [[], ["item"]], ids=["log", "snapshot"])
def test_a_full_disk_ends_the_sync_and_the_next_one_goes_on(
    replica: Replica, room: Room, resync: list[str], left: int
) -> None:
    before = replica.rows("select * from history.item order by all")
    grow(replica)
    with room(replica.warehouse, left):
        for _ in range(2):
            with pytest.raises(WarehouseError, match=named(replica.warehouse)):
                replica.sync(resync=resync)
        assert replica.rows("select * from history.item order by all") == before
    replica.sync(resync=resync)
    assert_once(replica)


@pytest.mark.parametrize("left", [0, 300_000])
def test_a_disk_that_is_full_from_the_beginning_leaves_nothing_half_loaded(
    replica: Replica, room: Room, left: int
) -> None:
    replica.warehouse.unlink()
    grow(replica)
    with room(replica.warehouse, left), pytest.raises(WarehouseError, match=named(replica.warehouse)):
        replica.sync(resync=["item", "place", "empty"])
    replica.sync(resync=["item", "place", "empty"])
    replica.assert_equal()
    assert replica.rows("select count(*) from history.item") == [(20 + ROWS - 5,)]


def test_a_full_disk_leaves_what_was_published_before(replica: Replica, room: Room) -> None:
    settings = Settings(_env_file=None, home=replica.warehouse.parent)
    publish(settings)
    published = published_warehouse(settings)
    before = published.read_bytes()
    grow(replica)
    replica.sync()
    with room(published, 100_000), pytest.raises(WarehouseError, match=named(published)):
        publish(settings)
    assert [path.name for path in published.parent.iterdir()] == [published.name]
    assert published.read_bytes() == before
    publish(settings)
    assert published.read_bytes() == replica.warehouse.read_bytes()
    assert_once(replica)


def test_the_command_line_says_so_in_one_line(
    replica: Replica,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text(dump_catalog(replica.streams))
    for name, value in {
        "HOME": replica.warehouse.parent, "SOURCE_URL": replica.url, "CATALOG": catalog,
        "PUBLICATION": PUBLICATION, "SLOT": replica.slot, "ROLE": "postgres",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"DVD_RENTAL_{name}", str(value))
    monkeypatch.setattr(sys, "argv", ["dvd-rental", "sync"])
    grow(replica)
    with limit(replica.warehouse, 0), pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "Traceback" not in said
    assert "Error: There is no room to write" in said
    assert str(replica.warehouse) in said
