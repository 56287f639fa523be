"""The dbt project, run in this process; it knows nothing of Dagster or the command line."""
