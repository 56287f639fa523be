"""The whole graph as one job, and its schedule."""

from dagster import AssetSelection, DefaultScheduleStatus, ScheduleDefinition, define_asset_job

everything = define_asset_job(
    "everything",
    selection=AssetSelection.all() | AssetSelection.all_asset_checks(),
    description="From the source's log to what people read: streams, models, checks, publication.",
)

every_five_minutes = ScheduleDefinition(
    name="every_five_minutes",
    job=everything,
    cron_schedule="*/5 * * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Moves what is pending and builds everything, whatever the sensor saw.",
)
