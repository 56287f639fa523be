"""A network or a server that fails in the middle of a sync ends it with an error, never a hang."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from outage import fast, immediate
from proxy import Proxy
from replica import FACTS, PUBLICATION, READING, Replica

from dvd_rental_dagster.errors import DvdRentalError, SourceUnreachableError
from dvd_rental_dagster.replication import session
from dvd_rental_dagster.replication.session import Silence, connect
from dvd_rental_dagster.replication.slot import flushed_lsn
from dvd_rental_dagster.replication.stream import open_stream
from dvd_rental_dagster.replication.wire import _LibpqWire, _SocketWire
from dvd_rental_dagster.source.server import EmbeddedServer

LOG = b"START_REPLICATION"
SNAPSHOT = b'COPY (select "id"'
PACKED = b"COPY (select count(*)"
GOODBYE = b"c\0\0\0\4"
MIDDLE = 40_003  # bytes: behind the first messages, and at the end of none
ROWS = 3000
READINGS = 6000
GOES_ON = "goes on where it stopped"
LIBPQ = "?gssencmode=prefer"  # where GSSAPI is allowed the connection stays with libpq, as when it is encrypted

pytestmark = pytest.mark.usefixtures("small_ranges")
moments = pytest.mark.parametrize("said", [LOG, SNAPSHOT, PACKED], ids=["log", "snapshot", "snapshot of facts"])


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    with Proxy(database) as proxy:
        yield proxy


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Silence, "limit_seconds", 0.5)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence that a loaded machine does not take for the network's."""
    monkeypatch.setattr(Silence, "limit_seconds", 2)


def change(replica: Replica, said: bytes = LOG) -> None:
    """Write what the sync reads, and where the fault lies in the snapshot of a table of facts, make that table."""
    replica.execute(
        f"insert into item select i, 'item ' || i, i, repeat('x', 50) from generate_series(1001, {1000 + ROWS}) as i",
        "delete from item where id < 10",
    )
    if said == PACKED:
        filled = f"insert into reading select i, i / 100.0, now() from generate_series(1, {READINGS}) as i"
        replica.execute(FACTS, filled)
        replica.streams += (READING,)


def sync_through(proxy: Proxy, replica: Replica, said: bytes, way: str = "") -> None:
    """Bring the replica up to date; where the fault lies in the snapshot, with a full load."""
    replace(replica, url=proxy.url + way).sync(resync=[] if said in {LOG, GOODBYE, PACKED} else ["item"])


def assert_goes_on(replica: Replica) -> None:
    """The next sync ends where an undisturbed one would, with every version written once."""
    replica.await_free_slot()
    replica.sync()
    replica.assert_equal()
    written = {"item": 20 + ROWS + 9, "reading": READINGS}
    for name in {stream.name for stream in replica.streams} & written.keys():
        versions = replica.rows(f"select count(*), count(distinct (id, _ab_cdc_lsn)) from history.{name}")
        assert versions == [(written[name],) * 2]


@pytest.mark.parametrize(
    ("said", "way"),
    [(LOG, ""), (LOG, LIBPQ), (SNAPSHOT, ""), (PACKED, "")],
    ids=["log", "log by libpq", "snapshot", "snapshot of facts"],
)
def test_a_connection_reset_in_the_middle_of_a_message_is_named_and_the_next_sync_goes_on(
    replica: Replica, proxy: Proxy, said: bytes, way: str
) -> None:
    change(replica, said)
    fault = proxy.cut(said, MIDDLE)
    with pytest.raises(SourceUnreachableError, match=f"broke: .*{GOES_ON}"):
        sync_through(proxy, replica, said, way)
    assert fault.struck.is_set()
    assert_goes_on(replica)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("said", "after", "way"),
    [
        pytest.param(LOG, MIDDLE, "", id="log"),
        pytest.param(LOG, MIDDLE, LIBPQ, id="log by libpq"),
        pytest.param(LOG, 0, "", id="start of the log"),
        pytest.param(LOG, 0, LIBPQ, id="start of the log by libpq"),
        pytest.param(SNAPSHOT, MIDDLE, "", id="snapshot"),
        pytest.param(PACKED, MIDDLE, "", id="snapshot of facts"),
        pytest.param(b"set transaction snapshot", 0, "", id="start of the snapshot"),
        pytest.param(b"pg_current_wal_flush_lsn", 0, "", id="query"),
        pytest.param(b"CREATE_REPLICATION_SLOT", 0, "", id="slot"),
    ],
)
def test_a_connection_that_falls_silent_ends_the_sync(
    replica: Replica, proxy: Proxy, said: bytes, after: int, way: str
) -> None:
    change(replica, said)
    fault = proxy.silence(said, after)
    with pytest.raises(SourceUnreachableError, match=f"answer.*{GOES_ON}"):
        sync_through(proxy, replica, said, way)
    assert fault.struck.is_set()
    proxy.heal()
    assert_goes_on(replica)


@pytest.mark.usefixtures("impatient")
@moments
def test_a_whole_network_that_falls_silent_ends_the_sync(replica: Replica, proxy: Proxy, said: bytes) -> None:
    change(replica, said)
    proxy.silence(said, MIDDLE, everywhere=True)
    with pytest.raises(SourceUnreachableError, match="timeout expired"):
        sync_through(proxy, replica, said, "?connect_timeout=2")
    proxy.heal()
    assert_goes_on(replica)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("way", ["", LIBPQ], ids=["socket", "libpq"])
def test_silence_after_the_goodbye_keeps_nobody_waiting_for_ever(replica: Replica, proxy: Proxy, way: str) -> None:
    change(replica)
    fault = proxy.silence(GOODBYE)
    sync_through(proxy, replica, GOODBYE, way)
    assert fault.struck.is_set()
    proxy.heal()
    assert_goes_on(replica)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("locked_first", [True, False], ids=["before the snapshot", "before the read"])
def test_a_server_that_works_is_waited_for(
    replica: Replica, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, locked_first: bool
) -> None:
    change(replica)
    waited = threading.Event()
    works = session._works

    def ask(url: str, pid: int) -> bool:
        if answer := works(url, pid):
            waited.set()
        return answer

    monkeypatch.setattr(session, "_works", ask)
    with psycopg.connect(replica.url) as other, ThreadPoolExecutor(1) as pool:
        lock = "lock table item"
        if locked_first:
            other.execute(lock)
        else:
            proxy.pause(b"set transaction snapshot", 0, lambda: other.execute(lock))
        syncing = pool.submit(sync_through, proxy, replica, SNAPSHOT)
        assert waited.wait(60)
        other.rollback()
        syncing.result()
    replica.assert_equal()


@pytest.mark.usefixtures("patient")
def test_a_slow_link_is_slow_and_nothing_else(replica: Replica) -> None:
    change(replica)
    with Proxy(replica.url, bytes_per_second=500_000) as proxy:
        sync_through(proxy, replica, LOG)
        sync_through(proxy, replica, SNAPSHOT)
    replica.assert_equal()


@pytest.mark.parametrize("shutdown", [fast, immediate])
@moments
def test_a_server_that_shuts_down_in_the_middle_is_named_and_after_its_restart_the_sync_goes_on(
    replica: Replica,
    proxy: Proxy,
    restarted: EmbeddedServer,
    said: bytes,
    shutdown: Callable[[EmbeddedServer], None],
) -> None:
    change(replica, said)
    fault = proxy.pause(said, MIDDLE, lambda: shutdown(restarted))
    with pytest.raises(DvdRentalError, match=GOES_ON):
        sync_through(proxy, replica, said)
    assert fault.struck.is_set()
    assert not restarted.is_running()
    restarted.ensure_running()
    assert_goes_on(replica)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has TCP_USER_TIMEOUT")
def test_both_kernels_notice_a_dead_link_within_about_a_minute(database: str) -> None:
    with connect(database) as source, socket.socket(fileno=os.dup(source.fileno())) as link:
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [link.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [30, 10, 3]
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
        names = ("idle", "interval", "count")
        shown = [source.execute(f"show tcp_keepalives_{name}").fetchone() for name in names]
        assert shown == [("30",), ("10",), ("3",)]
        assert source.execute("show wal_sender_timeout").fetchone() == ("1min",)


def test_the_connection_string_may_say_otherwise(database: str) -> None:
    with connect(f"{database}?keepalives_idle=7&gssencmode=prefer") as source:
        parameters = source.info.get_parameters()
    assert (parameters["keepalives_idle"], parameters["gssencmode"]) == ("7", "prefer")


@pytest.mark.parametrize(("way", "wire"), [("", _SocketWire), (LIBPQ, _LibpqWire)], ids=["plain", "maybe encrypted"])
def test_a_log_that_nothing_encrypts_is_read_past_libpq(
    replica: Replica, proxy: Proxy, way: str, wire: type[object]
) -> None:
    with open_stream(proxy.url + way, replica.slot, PUBLICATION, 0) as stream:
        assert isinstance(stream._wire, wire)
        stream.finish()


def test_feedback_that_the_network_takes_in_parts_arrives_whole(
    replica: Replica, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(replica)
    with connect(replica.url) as source:
        end = flushed_lsn(source)
    full = threading.Event()
    wait = _LibpqWire._await

    def waits(wire: _LibpqWire, events: int) -> int:
        full.set()
        return wait(wire, events)

    copy_both_response = 8  # bytes
    proxy.pause(LOG, copy_both_response, full.wait)
    with open_stream(proxy.url + LIBPQ, replica.slot, PUBLICATION, 0) as stream:
        monkeypatch.setattr(_LibpqWire, "_await", waits)
        stream._wire._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # type: ignore[attr-defined]
        while not full.is_set():
            stream.acknowledge(end)
        stream.finish()
    assert replica.source(
        f"select confirmed_flush_lsn - '0/0' from pg_replication_slots where slot_name = '{replica.slot}'"
    ) == [(end,)]
