"""The last step of a run: what was built becomes what people read."""

from collections.abc import Sequence

from dagster import AssetKey, AssetsDefinition, AssetSpec, MaterializeResult, MetadataValue, multi_asset

from dvd_rental_dagster.assets.ingestion import WAREHOUSE_POOL
from dvd_rental_dagster.assets.keys import PUBLISHED_KEY
from dvd_rental_dagster.publication import publish, published_warehouse, record_build
from dvd_rental_dagster.settings import load_settings


def publication_assets(reports: Sequence[AssetKey]) -> AssetsDefinition:
    """The published copy of the warehouse, below every report."""

    @multi_asset(
        name="published_warehouse",
        specs=[
            AssetSpec(
                PUBLISHED_KEY,
                deps=list(reports),
                group_name="published",
                description="The warehouse as dashboards and queries read it, replaced as a whole after a run.",
                kinds={"duckdb", "file"},
                owners=["team:data-engineering"],
            )
        ],
        pool=WAREHOUSE_POOL,
    )
    def published() -> MaterializeResult[None]:
        """Publish the warehouse and note what it was built from."""
        settings = load_settings()
        size = publish(settings)
        build = record_build(settings)
        return MaterializeResult(
            asset_key=PUBLISHED_KEY,
            metadata={
                "bytes": size,
                "sync_id": build.sync_id,
                "path": MetadataValue.path(published_warehouse(settings)),
            },
        )

    return published
