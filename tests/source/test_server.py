"""The embedded server's life: made, started, found by others, killed, stopped and removed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from servers import START, ask, exists, pid_of

from dvd_rental_dagster.errors import ServerError
from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.postmaster import read_pid_file, wait_until
from dvd_rental_dagster.source.server import EmbeddedServer


def test_the_server_is_set_up_for_capture(running: EmbeddedServer) -> None:
    wanted = {
        "wal_level": "logical",
        "max_slot_wal_keep_size": "4GB",
        "max_replication_slots": "20",
        "max_wal_senders": "20",
        "listen_addresses": "127.0.0.1",
        "fsync": "on",
        "password_encryption": "scram-sha-256",
    }
    assert {name: ask(running, f"show {name}") for name in wanted} == wanted


@pytest.mark.parametrize("local", [True, False])
def test_nobody_is_let_in_without_the_password(server: EmbeddedServer, local: bool) -> None:
    url = server.url("postgres", SUPERUSER, local=local)
    wrong = url.replace(server.password(SUPERUSER), "wrong")
    assert wrong != url
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_every_password_is_its_owners_alone(server: EmbeddedServer) -> None:
    files = [path for path in (server.root / "credentials").iterdir() if path.is_file()]
    assert {path.name for path in files} == {"postgres", "dvdrental"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_data_outlives_a_stop(running: EmbeddedServer) -> None:
    with psycopg.connect(running.url("postgres", SUPERUSER)) as connection:
        connection.execute("create table kept as select 42 as answer")
    assert running.stop()
    assert not running.is_running()
    running.ensure_running()
    assert ask(running, "select answer from kept") == "42"


def test_a_stopped_server_is_not_stopped_again(running: EmbeddedServer) -> None:
    assert running.stop()
    assert not running.stop()


def test_a_stop_disconnects_who_streams_the_log(running: EmbeddedServer) -> None:
    url = running.url("postgres", SUPERUSER)
    with contextlib.closing(psycopg.connect(url, autocommit=True, replication="database")) as connection:
        connection.execute("CREATE_REPLICATION_SLOT streamed LOGICAL pgoutput")
        connection.execute("create publication everything for all tables")
        streaming = connection.pgconn.exec_(
            b"START_REPLICATION SLOT streamed LOGICAL 0/0 (proto_version '1', publication_names 'everything')"
        )
        assert streaming.status == psycopg.pq.ExecStatus.COPY_BOTH
        assert running.stop()


def test_an_address_is_told_only_while_the_server_runs(stopped: EmbeddedServer) -> None:
    with pytest.raises(ServerError, match="dvd-rental up"):
        stopped.url()


def test_another_process_attaches_to_the_server_that_runs(running: EmbeddedServer) -> None:
    start = [sys.executable, "-c", START, running.root]
    assert subprocess.run(start, capture_output=True, text=True, check=True).stdout == f"{pid_of(running)}\n"


def test_processes_that_start_it_at_once_get_one_server(stopped: EmbeddedServer) -> None:
    starts = [
        subprocess.Popen([sys.executable, "-c", START, stopped.root], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    pids = {start.communicate()[0] for start in starts}
    assert [start.returncode for start in starts] == [0, 0, 0]
    assert pids == {f"{pid_of(stopped)}\n"}


def test_the_server_outlives_the_interrupt_of_who_started_it(stopped: EmbeddedServer) -> None:
    # whoever runs the tests in the background has them ignore the interrupt, and children inherit that
    script = f"{START}\nimport signal; signal.signal(signal.SIGINT, signal.default_int_handler); signal.pause()"
    with subprocess.Popen(
        [sys.executable, "-c", script, stopped.root],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as start:
        assert start.stdout is not None
        pid = int(start.stdout.readline())
        os.killpg(start.pid, signal.SIGINT)
    assert start.returncode != 0
    assert stopped.is_running()
    assert pid_of(stopped) == pid


def test_a_killed_server_comes_back_though_a_backend_is_busy(running: EmbeddedServer) -> None:
    with psycopg.connect(running.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute("create table kept as select 42 as answer")
        busy = connection.info.backend_pid
        connection.pgconn.send_query(b"do $$ begin loop end loop; end $$")
        connection.pgconn.flush()
        assert wait_until(
            lambda: ask(running, "select count(*) from pg_stat_activity where query like 'do %'") == "1", 10
        )
        killed = pid_of(running)
        os.kill(killed, signal.SIGKILL)
        assert wait_until(lambda: not exists(killed), 10)
        assert exists(busy)
        assert not running.is_running()
        running.ensure_running()
        assert not exists(busy)
        connection.pgconn.finish()
    assert pid_of(running) != killed
    assert ask(running, "select answer from kept") == "42"


def test_a_killed_server_can_be_stopped(running: EmbeddedServer) -> None:
    killed = pid_of(running)
    os.kill(killed, signal.SIGKILL)
    assert wait_until(lambda: not exists(killed), 10)
    assert not running.stop()
    assert not (running.data / "postmaster.pid").exists()


def test_a_pid_file_whose_number_is_anothers_is_stale(running: EmbeddedServer) -> None:
    pid_file = running.data / "postmaster.pid"
    content = pid_file.read_text()
    running.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *content.splitlines()[1:]]) + "\n")
    assert not running.is_running()
    running.ensure_running()
    assert ask(running, "select 1") == "1"


def test_data_that_a_killed_initdb_left_is_made_anew(stopped: EmbeddedServer) -> None:
    unfinished = stopped.root / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    stopped.ensure_running()
    assert ask(stopped, "select 1") == "1"
    assert not unfinished.exists()


def test_a_server_that_does_not_start_quotes_its_log(
    tmp_path: Path, copy_server: Callable[[Path], EmbeddedServer]
) -> None:
    server = EmbeddedServer(copy_server(tmp_path / "postgres").root, options={"shared_buffers": "plenty"})
    with pytest.raises(ServerError, match=r"(?s)shared_buffers.*plenty.*dvd-rental reset"):
        server.ensure_running()
    assert not server.is_running()
    server.remove()
    assert list(tmp_path.iterdir()) == []


def test_data_of_another_version_is_refused(running: EmbeddedServer) -> None:
    running.stop()
    (running.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(ServerError, match=r"made by PostgreSQL 12 .* dvd-rental reset"):
        running.ensure_running()


def test_a_home_of_any_depth_has_a_socket(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6) / "postgres")
    server.ensure_running()
    try:
        assert ask(server, "select 1", local=True) == "1"
    finally:
        server.remove()


def test_the_port_stays_from_start_to_start(running: EmbeddedServer) -> None:
    before = running.url()
    running.stop()
    running.ensure_running()
    assert running.url() == before


def test_a_port_that_somebody_took_is_changed(running: EmbeddedServer) -> None:
    port = read_pid_file(running.data).port  # type: ignore[union-attr]
    running.stop()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        running.ensure_running()
        assert ask(running, "show port") != str(port)


def test_two_homes_have_two_servers(
    running: EmbeddedServer, tmp_path: Path, copy_server: Callable[[Path], EmbeddedServer]
) -> None:
    other = copy_server(tmp_path / "other")
    other.ensure_running()
    try:
        assert ask(other, "show port") != ask(running, "show port")
        other.stop()
        assert running.is_running()
    finally:
        other.remove()


def test_removing_leaves_nothing(running: EmbeddedServer) -> None:
    sockets = Path(ask(running, "show unix_socket_directories"))
    assert sockets.exists()
    running.remove()
    assert not sockets.exists()
    assert not running.root.exists()
