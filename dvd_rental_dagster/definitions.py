"""The code location: what there is, and where it is told."""

from dagster import Definitions, in_process_executor

from dvd_rental_dagster.assets.ingestion import ingestion_assets, source_tables
from dvd_rental_dagster.assets.publication import publication_assets
from dvd_rental_dagster.assets.references import with_code_references
from dvd_rental_dagster.assets.transformation import report_keys, transformation_assets
from dvd_rental_dagster.automation.airbyte_sensor import airbyte_jobs
from dvd_rental_dagster.automation.jobs import every_five_minutes, everything
from dvd_rental_dagster.automation.log_sensor import source_log
from dvd_rental_dagster.checks.replication_slot import replication_slot, slot_health
from dvd_rental_dagster.resources import resources
from dvd_rental_dagster.settings import Engine, load_settings
from dvd_rental_dagster.transformation.project import check_streams

settings = load_settings()
check_streams(settings)
given = resources(settings)
models = transformation_assets(settings)
published = publication_assets(settings, report_keys(models))

defs = Definitions(
    assets=with_code_references([*source_tables, replication_slot, ingestion_assets(settings), models, published]),
    asset_checks=[slot_health],
    jobs=[everything],
    schedules=[every_five_minutes],
    resources=given,
    sensors=[airbyte_jobs if settings.engine is Engine.AIRBYTE else source_log],
    executor=in_process_executor,
)
