"""A source that was restored or promoted has a timeline of its own, and is followed where no change is lost."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import psycopg
import pytest
from replica import STREAMS, TABLES, Replica

from dvd_rental_dagster.errors import SlotError
from dvd_rental_dagster.replication.timelines import Timelines
from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.server import EmbeddedServer

OPTIONS = {"fsync": "off", "autovacuum": "off"}
STREAM_NAMES = [stream.name for stream in STREAMS]
SET_BACK = r"gone another way since .*, on timeline 2, .* on timeline {}: the source was set back.*dvd-rental resync"

_PROMOTED = "do $$ begin while pg_is_in_recovery() loop perform pg_sleep(0.01); end loop; end $$"


@dataclass
class Archive:
    """A source's folder as it once was, and all of the log that it wrote since, by which others are made of it.

    ``early`` and ``late`` are LSNs before and behind that of ``replica``; behind ``late`` it wrote some more.
    """

    replica: Replica
    base: Path
    log: Path
    early: str
    late: str
    opened: ExitStack

    def restored(self, root: Path, until: str, then: str = "promote") -> Replica:
        """The replica as it was, and its source restored up to an LSN, which runs, on a timeline of its own."""
        _copy(self.base, root)
        for segment in self.log.glob("0*"):
            _copy(segment, root / "data" / "pg_wal" / segment.name)
        _copy(root / "data" / "PG_VERSION", root / "data" / "recovery.signal")  # what it holds is not read
        recovery = {"restore_command": "false", "recovery_target_lsn": until, "recovery_target_action": then}
        server = EmbeddedServer(root, options=OPTIONS | recovery)
        self.opened.callback(server.remove)
        server.ensure_running()
        warehouse = root.with_suffix(".duckdb")
        shutil.copyfile(self.replica.warehouse, warehouse)
        replica = replace(self.replica, url=server.url("postgres", SUPERUSER), warehouse=warehouse)
        if then == "promote":
            replica.execute(_PROMOTED)
        return replica


def _copy(source: Path, target: Path) -> None:
    """Copy with owner and permissions, which a server insists on."""
    subprocess.run(["/bin/cp", "-a", "-T", source, target], check=True)


def _log_end(replica: Replica) -> str:
    return str(replica.source("select pg_current_wal_insert_lsn()::text")[0][0])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("timelines")
    server = EmbeddedServer(folder / "origin", options=OPTIONS)
    with ExitStack() as opened:
        opened.callback(server.remove)
        server.ensure_running()
        replica = Replica(server.url("postgres", SUPERUSER), folder / "origin.duckdb", STREAMS, "kept")
        replica.execute(TABLES)
        replica.prepare()
        replica.execute("insert into item select i, 'item ' || i, i, null from generate_series(1, 20) as i")
        replica.sync()
        server.stop()
        _copy(server.root, folder / "base")
        server.ensure_running()
        replica.url = server.url("postgres", SUPERUSER)
        replica.execute("update item set name = 'early' where id < 5")
        early = _log_end(replica)
        replica.execute("update item set name = 'read and undone' where id < 9", "delete from item where id = 20")
        replica.sync()
        replica.execute("update item set name = 'late' where id = 1")
        late = _log_end(replica)
        replica.execute("update item set name = 'lost' where id = 2")
        server.stop()
        yield Archive(replica, folder / "base", server.data / "pg_wal", early, late, opened)


def _write_past(replica: Replica, lsn: str) -> None:
    while not replica.source(f"select pg_current_wal_flush_lsn() > '{lsn}'")[0][0]:
        replica.execute("update item set name = name || '.'")


def _make_slot_again(replica: Replica) -> None:
    replica.execute(
        f"select pg_drop_replication_slot('{replica.slot}')",
        f"select pg_create_logical_replication_slot('{replica.slot}', 'pgoutput')",
    )


@pytest.mark.parametrize("act", [lambda _: None, _make_slot_again], ids=["slot kept", "slot made again"])
def test_a_source_set_back_that_has_written_past_the_ledger_is_never_followed(
    archive: Archive, tmp_path: Path, act: Callable[[Replica], None]
) -> None:
    replica = archive.restored(tmp_path / "restored", archive.early)
    act(replica)
    _write_past(replica, archive.late)
    before = replica.rows("select * from raw.item order by id")
    with pytest.raises(SlotError, match=SET_BACK.format(1)):
        replica.sync()
    assert replica.rows("select * from raw.item order by id") == before
    replica.sync(resync=STREAM_NAMES)
    replica.assert_equal()
    replica.execute("update item set name = 'afterwards' where id = 3")
    replica.sync()
    replica.assert_equal()


def test_a_failover_behind_the_ledger_is_followed_and_another_server_of_its_timeline_is_not(
    archive: Archive, tmp_path: Path
) -> None:
    promoted = archive.restored(tmp_path / "promoted", archive.late)
    promoted.execute("insert into item values (100, 'on the new timeline')")
    assert promoted.sync().streams["item"].snapshot is None
    promoted.assert_equal()
    assert promoted.rows("select name from raw.item where id in (1, 100) order by id") == [
        ("late",), ("on the new timeline",),
    ]  # fmt: skip
    other = archive.restored(tmp_path / "other", archive.early)
    other.warehouse = promoted.warehouse
    _write_past(other, _log_end(promoted))
    with pytest.raises(SlotError, match=SET_BACK.format(2)):
        other.sync()


def test_a_ledger_written_before_timelines_were_kept_is_read_and_gets_them(replica: Replica) -> None:
    kept = "select system_identifier from ledger.position"
    [(server,)] = replica.rows(kept)
    with psycopg.connect(replica.url) as source:
        assert source.execute("select system_identifier::text || ' 1' from pg_control_system()").fetchone() == (server,)
    with duckdb.connect(replica.warehouse) as warehouse:
        warehouse.execute("update ledger.position set system_identifier = ?", [server.removesuffix(" 1")])
    replica.execute("update item set name = 'later' where id = 1")
    replica.sync()
    assert replica.rows(kept) == [(server,)]


def test_a_source_that_is_not_promoted_yet_is_named_and_then_followed(archive: Archive, tmp_path: Path) -> None:
    replica = archive.restored(tmp_path / "standby", archive.late, then="pause")
    with pytest.raises(SlotError, match="is a standby"):
        replica.sync()
    replica.execute("select pg_promote()")
    replica.sync()
    replica.assert_equal()


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("1", "1@0/500 2", 0x500),
        ("1@0/500 2", "1@0/500 2@0/800 3", 0x800),
        ("1@0/500 2", "1@0/600 2", 0x500),
        ("1@0/500 3", "1@0/500 2", 0x500),
        ("1", "2", 0),
        ("1@0/500 2", "1@0/500 2", 1 << 64),
    ],
)
def test_two_logs_are_one_up_to_where_the_first_of_them_left_the_other(one: str, other: str, shared: int) -> None:
    first, second = Timelines.parse(one), Timelines.parse(other)
    assert (str(first), str(second)) == (one, other)
    assert first.shared_with(second) == second.shared_with(first) == shared
