"""The last step of a run: what was built becomes what people read."""

from collections.abc import Sequence

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from dvd_rental_dagster.assets.ingestion import WAREHOUSE_POOL
from dvd_rental_dagster.assets.keys import PUBLISHED_KEY
from dvd_rental_dagster.build_record import record_build
from dvd_rental_dagster.publication import publish, published_warehouse
from dvd_rental_dagster.resources import connections, resource_keys
from dvd_rental_dagster.settings import Settings, Warehouse, load_settings

_DESCRIPTIONS = {
    True: "What dashboards and queries read: Snowflake's own marts and reports, noted with what they were built from.",
    False: "The warehouse as dashboards and queries read it, replaced as a whole after a run.",
}


def publication_assets(settings: Settings, reports: Sequence[AssetKey]) -> AssetsDefinition:
    """What people read, below every report: a copy of DuckDB's file, or Snowflake itself, which many use at once."""
    account = settings.warehouse is Warehouse.SNOWFLAKE

    @multi_asset(
        name="published_warehouse",
        specs=[
            AssetSpec(
                PUBLISHED_KEY,
                deps=list(reports),
                group_name="published",
                description=_DESCRIPTIONS[account],
                kinds={"snowflake"} if account else {"duckdb", "file"},
                owners=["team:data-engineering"],
            )
        ],
        pool=WAREHOUSE_POOL,
        required_resource_keys=resource_keys(settings),
    )
    def published(context: AssetExecutionContext) -> MaterializeResult[None]:
        """Publish the warehouse where that takes a copy, and note what it was built from."""
        settings = load_settings()
        return _noted(context, settings) if account else _copied(settings)

    return published


def _copied(settings: Settings) -> MaterializeResult[None]:
    size = publish(settings)
    build = record_build(settings)
    path = MetadataValue.path(published_warehouse(settings))
    return MaterializeResult(asset_key=PUBLISHED_KEY, metadata={"bytes": size, "sync_id": build.sync_id, "path": path})


def _noted(context: AssetExecutionContext, settings: Settings) -> MaterializeResult[None]:
    build = record_build(settings, connections(context, settings))
    return MaterializeResult(
        asset_key=PUBLISHED_KEY, metadata={"sync_id": build.sync_id, "database": settings.snowflake_database}
    )
