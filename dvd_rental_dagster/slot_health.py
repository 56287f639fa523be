"""How the slots are through which the chosen engine reads the source."""

from dataclasses import replace
from functools import partial

from dvd_rental_dagster.airbyte.wanted import history_name, raw_name
from dvd_rental_dagster.replication.findings import Finding, Limits, Remedies, judge, together
from dvd_rental_dagster.replication.health import read_health
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.settings import Engine, Settings, Warehouse
from dvd_rental_dagster.source.endpoint import source_url
from dvd_rental_dagster.warehouse import read_ledger


def slot_names(settings: Settings) -> tuple[str, ...]:
    """The slots that the engine reads: one of the embedded engine, one for each connection of Airbyte's."""
    if settings.engine is Engine.AIRBYTE and settings.airbyte.history:
        return settings.slot, settings.airbyte.history_slot
    return (settings.slot,)


def slot_findings(settings: Settings, *, wait_seconds: float = 30) -> tuple[Finding, ...]:
    """What there is to say of the slots, read by the source's owner; nothing is started.

    Of the embedded engine's there is nothing to say before the first load.

    Raises:
        SettingsError: the settings do not say where the warehouse is.
        SourceUnreachableError: the source is down.
        WarehouseBusyError: another process still writes to the warehouse after ``wait_seconds``.
    """
    return _airbytes(settings) if settings.engine is Engine.AIRBYTE else _own(settings, wait_seconds)


def _airbytes(settings: Settings) -> tuple[Finding, ...]:
    connections = raw_name(settings), history_name(settings)
    # When Airbyte read last only its server knows, and the check of a slot does not hang on that.
    limits = replace(_limits(settings), lag_seconds=None)
    with connect(source_url(settings, local=True)) as connection:
        return together(
            {
                slot: judge(read_health(connection, slot, lambda: None), limits, _remedies(name))
                for slot, name in zip(slot_names(settings), connections, strict=False)
            }
        )


def _remedies(connection: str) -> Remedies:
    return Remedies(
        sync=f"sync the connection {connection}, with dvd-rental run or in Airbyte",
        prepare="run dvd-rental airbyte prepare",
        reload=f"clear the data of the connection {connection} in Airbyte and sync it",
        ledger=False,
    )


def _own(settings: Settings, wait_seconds: float) -> tuple[Finding, ...]:
    if settings.warehouse is Warehouse.DUCKDB and not settings.duckdb_path.exists():
        return ()
    # The owner sees since when the transactions of others are open; the role that captures changes does not.
    with connect(source_url(settings, local=True)) as connection:
        health = read_health(connection, settings.slot, partial(read_ledger, settings, wait_seconds=wait_seconds))
    if settings.warehouse is not Warehouse.DUCKDB and health.ledger is None:
        return ()
    return judge(health, _limits(settings))


def _limits(settings: Settings) -> Limits:
    return Limits(
        lag_bytes=int(settings.limit_lag),
        lag_seconds=settings.limit_lag_seconds,
        retained_bytes=int(settings.limit_retained_wal),
        transaction_seconds=settings.limit_transaction_seconds,
    )
