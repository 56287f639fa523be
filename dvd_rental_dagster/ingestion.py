"""From the configured source to the configured warehouse, by the embedded engine."""

from collections.abc import Collection

from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.replication import SyncReport, sync
from dvd_rental_dagster.replication.pending import Pending, await_changes, pending_changes
from dvd_rental_dagster.replication.verification import Verification, verify
from dvd_rental_dagster.settings import Engine, Settings
from dvd_rental_dagster.source.endpoint import ensure_source, source_url
from dvd_rental_dagster.warehouse import chosen_destination


def sync_source(settings: Settings, *, resync: Collection[str] = (), progress: Progress = silent) -> SyncReport:
    """Bring the source up if it is ours and down, then move what is pending into the warehouse.

    Args:
        settings: which source, engine and warehouse.
        resync: streams to load again from a snapshot.
        progress: hears how far the work is.

    Raises:
        SettingsError: the engine is Airbyte, the warehouse is not available, or ``resync`` names no stream.
        DvdRentalError: whatever the source, the log or the warehouse has against it.
    """
    _check_switches(settings)
    destination = chosen_destination(settings)
    names = [stream.name for stream in settings.streams]
    unknown = sorted(set(resync) - set(names))
    if unknown:
        raise SettingsError(f"No stream is called {', '.join(unknown)}. The streams are {', '.join(names)}.")
    source = ensure_source(settings, progress)
    return sync(
        source.local_role_url,
        destination,
        settings.streams,
        publication=settings.publication,
        slot=settings.slot,
        resync=resync,
        progress=progress,
    )


def verify_warehouse(
    settings: Settings, *, only: Collection[str] | None = None, progress: Progress = silent
) -> Verification:
    """Compare source and warehouse at one place of the log, row for row; only the streams named, when any are.

    Raises:
        LedgerError: nothing was loaded yet.
        DvdRentalError: whatever the source, the log or the warehouse has against it.
    """
    _check_switches(settings)
    destination = chosen_destination(settings)
    source = ensure_source(settings, progress)
    return verify(
        source.local_role_url,
        destination,
        settings.streams,
        publication=settings.publication,
        slot=settings.slot,
        only=only,
        progress=progress,
    )


def pending(settings: Settings) -> Pending:
    """What waits in the source's log; the source must be up."""
    url = source_url(settings, "airbyte", local=True)
    return pending_changes(url, settings.streams, publication=settings.publication, slot=settings.slot)


def await_pending(settings: Settings, seconds: float) -> Pending:
    """Watch the source's log until a change waits in it, for at most ``seconds``; the source must be up."""
    url = source_url(settings, "airbyte", local=True)
    return await_changes(url, settings.streams, publication=settings.publication, slot=settings.slot, seconds=seconds)


def _check_switches(settings: Settings) -> None:
    if settings.engine is not Engine.EMBEDDED:
        raise SettingsError(
            "With DVD_RENTAL_ENGINE=airbyte a run of the graph syncs and compares: dvd-rental run. Set "
            "DVD_RENTAL_ENGINE=embedded to read the log with the embedded engine."
        )
