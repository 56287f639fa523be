"""The state of every part, for people who look."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from dvd_rental_dagster.build_record import recorded_build
from dvd_rental_dagster.errors import SettingsError, WarehouseBusyError, WarehouseError
from dvd_rental_dagster.ingestion import pending
from dvd_rental_dagster.publication import published_warehouse
from dvd_rental_dagster.replication.lsn import format_lsn
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.replication.slot import Slot, read_slot
from dvd_rental_dagster.settings import Engine, Settings, Warehouse
from dvd_rental_dagster.slot_health import slot_findings, slot_names
from dvd_rental_dagster.source.connection_string import without_password
from dvd_rental_dagster.source.endpoint import embedded_server, source_url
from dvd_rental_dagster.warehouse import read_ledger


def read_status(settings: Settings) -> list[tuple[str, str]]:
    """One line a part: its name and its state; nothing is started to find out.

    Raises:
        SourceUnreachableError: the source is up but refuses the connection.
    """
    lines = [("home", str(settings.home))]
    if settings.source_url is not None or embedded_server(settings).is_running():
        lines.append(("source", without_password(source_url(settings))))
        lines += _log_status(settings)
        lines += _findings(settings)
    else:
        lines.append(("source", "down; dvd-rental up starts it"))
    return [*lines, *_warehouse_status(settings)]


def _log_status(settings: Settings) -> list[tuple[str, str]]:
    with connect(source_url(settings, "airbyte", local=True)) as connection:
        slots = {name: read_slot(connection, name) for name in slot_names(settings)}
        kept = dict(
            connection.execute(
                "select slot_name::text, pg_catalog.pg_size_pretty(pg_catalog.pg_current_wal_lsn() - restart_lsn)"
                " from pg_catalog.pg_replication_slots where slot_name = any(%s)",
                (list(slots),),
            ).fetchall()
        )
    prepare = "dvd-rental airbyte prepare" if settings.engine is Engine.AIRBYTE else "dvd-rental source prepare"
    lines = []
    for name, slot in slots.items():
        if slot is None:
            lines.append(("slot", f"{name} is missing; {prepare} makes it"))
        else:
            place = format_lsn(slot.confirmed_flush_lsn) if slot.confirmed_flush_lsn is not None else "nowhere"
            size = kept.get(name) or "nothing"
            lines.append(("slot", f"{name} at {place}, {slot.wal_status}, keeps {size} of the log"))
    return [*lines, *_pending(settings, slots[settings.slot])]


def _pending(settings: Settings, slot: Slot | None) -> list[tuple[str, str]]:
    """What the current rows wait for."""
    if slot is None:
        return []
    if slot.wal_status == "lost":
        return [("pending", "cannot be told: the slot is lost")]
    if slot.active_pid is not None:
        return [("pending", f"a sync is running (server process {slot.active_pid})")]
    return [("pending", ", ".join(pending(settings).streams) or "nothing")]


def _findings(settings: Settings) -> list[tuple[str, str]]:
    """What is not as it should be with the slots; nothing while a run goes on, which looks at it itself."""
    try:
        findings = slot_findings(settings, wait_seconds=0)
    except WarehouseBusyError:
        return [("checks", "not looked at: another process writes to the warehouse")]
    except (WarehouseError, SettingsError) as error:
        return [("checks", f"not looked at: {error}")]
    return [
        (f"{finding.severity.value}: {finding.subject.value}", finding.message)
        for finding in findings
        if finding.severity is not None
    ]


def _warehouse_status(settings: Settings) -> list[tuple[str, str]]:
    if settings.warehouse in {Warehouse.POSTGRES, Warehouse.JSON}:
        return _ledger_status(settings)
    if settings.warehouse is Warehouse.SNOWFLAKE:
        loaded = _ledger_status(settings) if settings.engine is Engine.EMBEDDED else []
        return [("warehouse", _account(settings)), *loaded, _built(settings)]
    path = published_warehouse(settings)
    if not path.exists():
        return [("published", "nothing yet; dvd-rental run loads and builds")]
    lines = [("published", f"{path}, {path.stat().st_size / 1_048_576:.1f} MiB")]
    if settings.engine is Engine.EMBEDDED:
        lines += _published_ledger(path)
    return [*lines, _built(settings)]


def _account(settings: Settings) -> str:
    account = settings.snowflake_account or "no account; set DVD_RENTAL_SNOWFLAKE_ACCOUNT"
    return f"{settings.snowflake_database} of Snowflake's {account}"


def _built(settings: Settings) -> tuple[str, str]:
    build = recorded_build(settings)
    return "built", f"from sync {build.sync_id}" if build else "nothing that this home knows of; dvd-rental run builds"


def _published_ledger(path: Path) -> list[tuple[str, str]]:
    with duckdb.connect(path, read_only=True) as connection:
        row = connection.execute("select lsn, sync_id, epoch_us(extracted_at) from ledger.position").fetchone()
    return [_loaded(*row)] if row else []


def _ledger_status(settings: Settings) -> list[tuple[str, str]]:
    """What the warehouse itself tells, which nobody publishes from."""
    name = settings.warehouse.value
    try:
        ledger = read_ledger(settings, wait_seconds=0)
    except WarehouseBusyError:
        return [(name, "another process writes to it")]
    except (WarehouseError, SettingsError) as error:
        return [(name, str(error))]
    if ledger is None:
        return [(name, "nothing yet; dvd-rental sync loads")]
    return [_loaded(ledger.lsn, ledger.sync_id, ledger.extracted_at)]


def _loaded(lsn: int, sync_id: int, extracted_at: int) -> tuple[str, str]:
    at = datetime.fromtimestamp(extracted_at / 1_000_000, UTC).isoformat(timespec="seconds")
    return "loaded", f"up to {format_lsn(lsn)} by sync {sync_id} at {at}"
