"""The source's tables, and the fifteen streams that carry them into the warehouse."""

from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    AssetSpec,
    MaterializeResult,
    Output,
    multi_asset,
)

from dvd_rental_dagster.assets.airbyte import arrivals
from dvd_rental_dagster.assets.keys import history_key, raw_key, source_key
from dvd_rental_dagster.assets.nothing import nothing
from dvd_rental_dagster.catalog import STREAMS, Stream
from dvd_rental_dagster.checks.reconciliation import failure, reconcile, reconciliation_specs
from dvd_rental_dagster.ingestion import sync_source
from dvd_rental_dagster.progress import listener
from dvd_rental_dagster.replication import StreamReport, SyncReport
from dvd_rental_dagster.replication.lsn import format_lsn
from dvd_rental_dagster.resources import airbyte_keys, arrived, resource_keys, server
from dvd_rental_dagster.settings import Engine, Settings, Warehouse, load_settings
from dvd_rental_dagster.warehouse import check_models

WAREHOUSE_POOL = "warehouse"
"""Runs that write to the warehouse share this pool, which lets one of them through at a time."""

_Event = MaterializeResult[None] | Output[None] | AssetMaterialization | AssetCheckResult
_OWNERS = ["team:data-engineering"]


def _source_spec(stream: Stream) -> AssetSpec:
    return AssetSpec(
        source_key(stream.name),
        group_name="source",
        description=f"Table {stream.namespace}.{stream.name} of the DVD Rental database, which the shops write to.",
        kinds={"postgres", "table"},
        owners=_OWNERS,
        metadata={"dagster/table_name": f"dvdrental.{stream.namespace}.{stream.name}"},
    )


def _stream_specs(stream: Stream, warehouse: Warehouse) -> Iterator[AssetSpec]:
    key = ", ".join(stream.primary_key)
    for asset_key, group, what in (
        (raw_key(stream.name), "raw", f"The current rows of {stream.name}, deletes applied; key {key}."),
        (history_key(stream.name), "history", f"Every version of every row of {stream.name}; a delete is a row too."),
    ):
        yield AssetSpec(
            asset_key,
            deps=[source_key(stream.name)],
            group_name=group,
            description=what,
            kinds={warehouse.value, "table"},
            owners=_OWNERS,
            skippable=True,
            metadata={"dagster/table_name": f"{group}.{stream.name}", "sync_mode": stream.mode.value},
        )


source_tables: list[AssetSpec] = [_source_spec(stream) for stream in STREAMS]


def ingestion_assets(settings: Settings) -> AssetsDefinition:
    """All streams as one multi-asset, in both layers."""

    @multi_asset(
        name="streams",
        specs=[spec for stream in STREAMS for spec in _stream_specs(stream, settings.warehouse)],
        check_specs=reconciliation_specs,
        can_subset=True,
        pool=WAREHOUSE_POOL,
        required_resource_keys=airbyte_keys(settings) | resource_keys(settings),
    )
    def streams(context: AssetExecutionContext) -> Iterator[_Event]:
        """Carry what is pending into ``raw`` and ``history``, and compare with the source where selected."""
        yield from _carried(context, load_settings())

    return streams


def _carried(context: AssetExecutionContext, settings: Settings) -> Iterator[_Event]:
    """Carry what is pending in the log into ``raw`` and ``history``, and compare with the source where selected.

    The log is one, so all its streams move together; a stream outside the selection that moved is reported too. The
    embedded engine does both layers at once; with Airbyte each selected layer is a job of its connection.
    """
    check_models(settings)
    if settings.engine is Engine.AIRBYTE:
        yield from arrivals(context, settings, server(context), arrived(context, settings))
        return
    report = sync_source(settings, progress=listener())
    checks = reconcile(settings, context.selected_asset_check_keys, report, listener())
    context.log.info(
        f"{report.rows} rows in {len(report.changed)} streams, log up to {format_lsn(report.end_lsn)}, "
        f"{report.seconds:.2f} s"
    )
    for stream in STREAMS:
        stream_report = report.streams[stream.name]
        for key in (raw_key(stream.name), history_key(stream.name)):
            selected = key in context.selected_asset_keys
            if stream_report.changed:
                metadata = _metadata(stream_report, report)
                yield (
                    MaterializeResult(asset_key=key, metadata=metadata)
                    if selected
                    else AssetMaterialization(key, metadata=metadata)
                )
            elif selected:
                yield nothing(key)
    yield from checks
    if differing := failure(checks):
        raise differing


def _metadata(stream: StreamReport, report: SyncReport) -> dict[str, int | float | str]:
    return {
        "rows": stream.rows,
        "snapshot": stream.snapshot or 0,
        "inserted": stream.inserted,
        "updated": stream.updated,
        "deleted": stream.deleted,
        "truncated": stream.truncated,
        "lsn": format_lsn(stream.lsn),
        "log_end_lsn": format_lsn(report.end_lsn),
        "sync_id": report.sync_id,
        "seconds": round(stream.seconds, 3),
    }
