"""Whether what people read still shows everything that the source holds."""

from dvd_rental_dagster.build_record import recorded_build
from dvd_rental_dagster.errors import WarehouseBusyError
from dvd_rental_dagster.ingestion import pending
from dvd_rental_dagster.settings import Engine, Settings
from dvd_rental_dagster.transformation.project import fingerprint
from dvd_rental_dagster.warehouse import read_ledger


def is_current(settings: Settings) -> bool:
    """Whether the last build still stands: the same dbt project, nothing pending in the log, and no sync since.

    The source must be up. With Airbyte nobody can tell, for it lets go of the log one sync late.

    Raises:
        DvdRentalError: whatever the source, the log or the warehouse has against it.
    """
    if settings.engine is Engine.AIRBYTE:
        return False
    build = recorded_build(settings)
    if build is None or build.fingerprint != fingerprint() or pending(settings).streams:
        return False
    return build.sync_id == _last_sync(settings)  # asked last: a sync in between has what was pending


def _last_sync(settings: Settings) -> int | None:
    """The last sync of the warehouse; none while another process writes to it, or where nothing is loaded."""
    try:
        ledger = read_ledger(settings, wait_seconds=0)
    except WarehouseBusyError:
        return None
    return None if ledger is None else ledger.sync_id
