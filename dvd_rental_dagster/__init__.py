"""DVD Rental, from PostgreSQL's write-ahead log to answered business questions, on Dagster."""
