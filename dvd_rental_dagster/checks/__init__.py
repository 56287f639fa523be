"""The checks that are not dbt's: thin, they call the packages beside this one."""
