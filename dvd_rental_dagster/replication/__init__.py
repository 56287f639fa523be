"""The embedded engine: PostgreSQL's log into a warehouse, exactly once.

It knows nothing of DVD Rental, Dagster or the command line.
"""

from dvd_rental_dagster.replication.report import StreamReport, SyncReport
from dvd_rental_dagster.replication.sync import sync

__all__ = ["StreamReport", "SyncReport", "sync"]
