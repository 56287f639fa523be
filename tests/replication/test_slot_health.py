"""What a slot's health tells, on real servers: what is unread, what log is kept and for whom, and what helps."""

import dataclasses
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from replica import PUBLICATION, Replica

from dvd_rental_dagster.catalog import Stream
from dvd_rental_dagster.errors import SlotError
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination
from dvd_rental_dagster.replication.findings import Finding, Limits, Severity, Subject, judge
from dvd_rental_dagster.replication.health import SlotHealth, read_health
from dvd_rental_dagster.replication.ledger import Ledger
from dvd_rental_dagster.replication.pending import pending_changes
from dvd_rental_dagster.replication.stream import open_stream
from dvd_rental_dagster.source.binaries import Binaries
from dvd_rental_dagster.source.cluster import SUPERUSER
from dvd_rental_dagster.source.connection_string import with_role
from dvd_rental_dagster.source.server import EmbeddedServer

STREAMS = (Stream("item", ("id",)),)
TABLE = "create table item (id integer primary key, name text, price numeric(8, 2), notes text)"
MEGABYTE = 1 << 20
WIDE = Limits(lag_bytes=64 * MEGABYTE, lag_seconds=3600, retained_bytes=64 * MEGABYTE, transaction_seconds=3600)
NARROW = Limits(lag_bytes=MEGABYTE, lag_seconds=3600, retained_bytes=MEGABYTE, transaction_seconds=0)
FILL = f"select pg_logical_emit_message(true, 'filler', repeat('x', {4 * MEGABYTE}))"


def ledger_of(replica: Replica) -> Ledger | None:
    with DuckDBDestination(replica.warehouse) as warehouse:
        return warehouse.read_ledger()


def health_of(replica: Replica) -> SlotHealth:
    with psycopg.connect(replica.url, autocommit=True) as connection:
        return read_health(connection, replica.slot, lambda: ledger_of(replica))


def judged(health: SlotHealth, limits: Limits = WIDE) -> dict[Subject, Finding]:
    return {finding.subject: finding for finding in judge(health, limits)}


@pytest.fixture(scope="module")
def tight_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server that keeps little log for its slots, and knows prepared transactions."""
    server = EmbeddedServer(
        tmp_path_factory.mktemp("tight") / "postgres",
        options={
            "max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB",
            "max_prepared_transactions": "2", "fsync": "off",
        },
    )  # fmt: skip
    server.ensure_running()
    yield server
    server.remove()


@pytest.fixture
def tight(tight_server: EmbeddedServer, tmp_path: Path) -> Iterator[Replica]:
    """A loaded replica of that server."""
    name = f"test_{uuid.uuid4().hex}"
    everywhere = tight_server.url("postgres", SUPERUSER)
    with psycopg.connect(everywhere, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        replica = Replica(tight_server.url(name, SUPERUSER), tmp_path / "warehouse.duckdb", STREAMS)
        replica.execute(TABLE, "insert into item values (1, 'item', 1, null)")
        replica.prepare()
        replica.sync()
        yield replica
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s", (name,)
        )
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_after_a_sync_nothing_is_found(replica: Replica) -> None:
    assert [finding.message for finding in judged(health_of(replica)).values() if not finding.passed] == []


def test_the_lag_is_what_was_written_since_the_last_sync_and_a_sync_takes_it_away(replica: Replica) -> None:
    replica.execute("insert into item select i, repeat(md5(i::text), 8), 1, null from generate_series(100, 20000) as i")
    behind = health_of(replica)
    replica.sync()
    after = health_of(replica)

    assert behind.lag_bytes is not None
    assert behind.lag_bytes > 4 * MEGABYTE
    assert behind.ledger is not None
    assert behind.lag_seconds == (behind.read_at - behind.ledger.extracted_at) / 1_000_000
    assert not judged(behind, NARROW)[Subject.LAG].passed
    assert "dvd-rental sync" in judged(behind, NARROW)[Subject.LAG].message
    assert judged(after, NARROW)[Subject.LAG].passed


def publish_its_tables_alone(replica: Replica) -> None:
    replica.execute(f"drop publication {PUBLICATION}", f"create publication {PUBLICATION} for table item, place, empty")
    replica.sync(resync=[stream.name for stream in replica.streams])


def test_the_lag_of_unpublished_writes_goes_with_a_sync_too(replica: Replica) -> None:
    publish_its_tables_alone(replica)
    replica.execute("create table unpublished as select i, md5(i::text) from generate_series(1, 50000) as i")
    behind = health_of(replica)
    assert replica.sync().changed == ()

    assert not judged(behind, NARROW)[Subject.LAG].passed
    assert judged(health_of(replica), NARROW)[Subject.LAG].passed


def test_a_day_of_idle_syncs_keeps_no_log_and_no_memory(replica: Replica) -> None:
    syncs = 288 if os.environ.get("DVD_RENTAL_TEST_LONG") else 12  # a day of a sync every five minutes
    replica.execute("create table scratch (id integer)")
    publish_its_tables_alone(replica)
    resident = []
    for number in range(syncs):
        replica.execute(f"insert into scratch select generate_series(1, {number % 100})")
        assert replica.sync().rows == 0
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    health = health_of(replica)
    assert health.lag_bytes is not None
    assert health.lag_bytes < MEGABYTE
    assert resident[-1] - resident[syncs // 3] < 50 * MEGABYTE


def test_lag_that_nobody_read_for_long_is_found_however_small(replica: Replica) -> None:
    replica.execute("insert into item values (900, 'one', 1, null)")
    health = health_of(replica)
    later = dataclasses.replace(health, read_at=health.read_at + 7200 * 1_000_000)
    assert judged(health)[Subject.LAG].passed
    assert not judged(later)[Subject.LAG].passed


def test_a_slot_that_has_read_everything_has_no_lag_however_long_ago_that_was(replica: Replica) -> None:
    health = dataclasses.replace(health_of(replica), lag_bytes=0)
    later = dataclasses.replace(health, read_at=health.read_at + 7200 * 1_000_000)
    assert later.lag_seconds == 0
    assert judged(later)[Subject.LAG].passed


def test_an_open_transaction_is_told_apart_from_what_is_unread_as_the_reason_for_kept_log(replica: Replica) -> None:
    with psycopg.connect(replica.url) as holder:
        holder.execute("insert into item values (900, 'held', 1, null)")
        replica.execute("checkpoint", FILL, "checkpoint")
        replica.sync()
        held = health_of(replica)
        found = judged(held, NARROW)
        end_it = f"select pg_terminate_backend({holder.info.backend_pid})"
        assert held.transaction is not None
        assert held.transaction.pid == holder.info.backend_pid
        assert held.transaction.state == "idle in transaction"
        assert found[Subject.LAG].passed
        assert not found[Subject.RETAINED_WAL].passed
        assert end_it in found[Subject.RETAINED_WAL].message
        assert not found[Subject.LONGEST_TRANSACTION].passed
        assert end_it in found[Subject.LONGEST_TRANSACTION].message
        assert found[Subject.LONGEST_TRANSACTION].numbers["seconds"] == held.transaction.seconds
        holder.rollback()
    for _ in range(2):
        replica.execute("checkpoint")
        replica.sync()
    released = health_of(replica)
    assert released.transaction is None
    assert judged(released, NARROW)[Subject.RETAINED_WAL].passed


def test_log_that_is_unread_wants_a_sync(replica: Replica) -> None:
    replica.execute(FILL)
    found = judged(health_of(replica), NARROW)[Subject.RETAINED_WAL]
    assert not found.passed
    assert found.message.endswith("Run dvd-rental sync.")


def test_a_prepared_transaction_is_named_with_the_statement_that_ends_it(tight: Replica) -> None:
    tight.transaction("insert into item values (900, 'held', 1, null)", "prepare transaction 'half done'")
    found = judged(health_of(tight), NARROW)[Subject.LONGEST_TRANSACTION]
    tight.execute("rollback prepared 'half done'")
    assert not found.passed
    assert "rollback prepared 'half done'" in found.message


def test_a_role_that_may_not_see_since_when_is_told_what_it_lacks(replica: Replica) -> None:
    role = f"reader_{uuid.uuid4().hex}"
    replica.execute(f"create role {role} login password 'reader'")
    with psycopg.connect(replica.url) as holder:
        holder.execute("insert into item values (900, 'held', 1, null)")
        with psycopg.connect(with_role(replica.url, role, "reader")) as reader:
            health = read_health(reader, replica.slot, lambda: None)
        holder.rollback()
    replica.execute(f"drop role {role}")
    found = judged(health)[Subject.LONGEST_TRANSACTION]
    assert not found.passed
    assert f"grant pg_read_all_stats to {role}" in found.message


def test_a_dropped_slot_is_an_error_that_asks_for_a_resync_only_where_something_was_loaded(replica: Replica) -> None:
    replica.execute(f"select pg_drop_replication_slot('{replica.slot}')")
    health = health_of(replica)
    loaded = judged(health)[Subject.WAL_STATUS]
    fresh = judged(dataclasses.replace(health, ledger=None))[Subject.WAL_STATUS]

    assert not loaded.passed
    assert loaded.severity is Severity.ERROR
    assert "dvd-rental source prepare" in loaded.message
    assert "dvd-rental resync" in loaded.message
    assert not fresh.passed
    assert "dvd-rental resync" not in fresh.message
    assert not judged(health)[Subject.LAG].passed


def test_a_slot_made_again_is_an_error_that_asks_for_a_resync(replica: Replica) -> None:
    replica.execute(
        f"select pg_drop_replication_slot('{replica.slot}')",
        "insert into item values (900, 'lost', 1, null)",
        f"select pg_create_logical_replication_slot('{replica.slot}', 'pgoutput')",
    )
    found = judged(health_of(replica))[Subject.WAL_STATUS]
    assert not found.passed
    assert "dvd-rental resync" in found.message


def test_a_lost_slot_is_an_error_and_a_sync_leaves_the_warehouse_as_it_is(tight: Replica) -> None:
    tight.execute("insert into item values (900, 'lost', 1, null)")
    for _ in range(4):
        tight.execute(FILL, FILL, FILL, "select pg_switch_wal()")
    tight.execute("checkpoint")

    found = judged(health_of(tight))[Subject.WAL_STATUS]
    with pytest.raises(SlotError, match="lost"):
        tight.sync()
    with pytest.raises(SlotError, match="lost"):
        pending_changes(tight.url, tight.streams, publication=PUBLICATION, slot=tight.slot)

    assert not found.passed
    assert found.severity is Severity.ERROR
    assert f"pg_drop_replication_slot('{tight.slot}')" in found.message
    assert "dvd-rental resync" in found.message
    assert tight.rows("select id from raw.item") == [(1,)]


@pytest.mark.parametrize(
    ("wal_status", "retained", "safe", "severity"),
    [
        ("extended", 10, 11, None),
        ("extended", 11, 10, Severity.WARN),
        ("extended", 11, None, None),
        ("unreserved", 10, 0, Severity.ERROR),
    ],
)
def test_a_slot_in_danger_is_found_before_it_is_lost(
    replica: Replica, wal_status: str, retained: int, safe: int | None, severity: Severity | None
) -> None:
    health = dataclasses.replace(
        health_of(replica), wal_status=wal_status, retained_bytes=retained, safe_wal_bytes=safe
    )
    found = judged(health)[Subject.WAL_STATUS]
    assert found.severity is severity
    assert severity is None or "max_slot_wal_keep_size" in found.message


def test_a_slot_in_use_names_its_reader_and_is_fine(replica: Replica) -> None:
    ledger = ledger_of(replica)
    assert ledger is not None
    with open_stream(replica.url, replica.slot, PUBLICATION, ledger.lsn):
        health = health_of(replica)
    found = judged(health)[Subject.WAL_STATUS]
    assert health.active_pid is not None
    assert found.passed
    assert str(health.active_pid) in found.message


def test_an_older_server_tells_the_same(tmp_path: Path) -> None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("this machine has no PostgreSQL of its own")
    server = EmbeddedServer(tmp_path / "postgres", binaries=Binaries(folders[0]), options={"fsync": "off"})
    server.ensure_running()
    try:
        replica = Replica(server.url("postgres", SUPERUSER), tmp_path / "warehouse.duckdb", STREAMS)
        replica.execute(TABLE)
        replica.prepare()
        replica.sync()
        assert all(finding.passed for finding in judge(health_of(replica), WIDE))
        replica.execute(FILL)
        assert not judged(health_of(replica), NARROW)[Subject.LAG].passed
    finally:
        server.remove()
