"""A layer of the warehouse, ``raw`` or ``history``, brought up to date by its connection."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from psycopg import sql

from dvd_rental_dagster.airbyte.answer import Job
from dvd_rental_dagster.airbyte.arrival import Arrived
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.counts import Count, Counts, counts
from dvd_rental_dagster.airbyte.destination_configuration import RAW
from dvd_rental_dagster.airbyte.inventory import Inventory
from dvd_rental_dagster.airbyte.jobs import Sync, Syncs, Waiting
from dvd_rental_dagster.airbyte.server import Server, known_secrets
from dvd_rental_dagster.airbyte.wanted import HISTORY, history_name, raw_name
from dvd_rental_dagster.airbyte.watermark import read_watermark, write_watermark
from dvd_rental_dagster.errors import ProvisioningError, SettingsError, SlotBusyError
from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.replication.pending import changed_since
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.replication.slot import flushed_lsn
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.source.endpoint import ensure_source


class Layer(StrEnum):
    """What a connection of ours writes to; the name of the warehouse's schema."""

    RAW = RAW
    HISTORY = HISTORY


@dataclass(frozen=True)
class Loaded:
    """A sync that succeeded.

    ``lsn`` is a place of the log, in bytes, up to which the layer has everything; None of a sync that somebody else had
    started.
    """

    sync: Sync
    counts: Counts
    lsn: int | None


def load(
    settings: Settings,
    server: Server,
    layer: Layer,
    arrived: Arrived,
    heard: Callable[[Job], None],
    progress: Progress = silent,
) -> Loaded:
    """Bring the source up if it is ours and down, then sync the layer's connection, or join the sync that goes on.

    Args:
        settings: which connections and which streams.
        server: where the connections are.
        layer: what to bring up to date.
        arrived: where the rows are looked for.
        heard: hears of the job whenever it was looked at.
        progress: hears how far the source is.

    Raises:
        SettingsError: the settings do without this layer.
        ProvisioningError: its connection is not on the server.
        JobError: the sync failed, or moved nothing while changes waited in the source.
        AirbyteError: the server does not answer, or refuses.
        SlotError: the connection's slot is missing or lost.
        SourceError: the source cannot be had.
        WarehouseError: the sync succeeded, and its rows are not in our warehouse.
    """
    url = ensure_source(settings, progress).local_role_url
    with server.client() as client:
        client.keep_secret(known_secrets(settings, url))
        syncs = layer_syncs(client, server, settings, layer)
        began = _end_of_log(url)
        sync = syncs.run(source_moved=lambda: _source_moved(settings, layer, url, syncs), heard=heard)
        write_watermark(settings, syncs.connection_id, sync, _end_of_log(url))
        arrived.columns(layer)
        moved = counts(client, sync.job_id, Count(sync.rows, sync.bytes))
        return Loaded(sync, moved, None if sync.joined else began)


def layer_syncs(client: AirbyteClient, server: Server, settings: Settings, layer: Layer) -> Syncs:
    """The syncs of the layer's connection.

    Raises:
        SettingsError: the settings do without this layer.
        ProvisioningError: the connection is not on the server.
        AirbyteError: the server does not tell.
    """
    if layer is Layer.HISTORY and not settings.airbyte.history:
        raise SettingsError(
            "The models read history, and DVD_RENTAL_AIRBYTE_HISTORY=false does without. Set it to true, then run "
            "dvd-rental airbyte prepare and dvd-rental airbyte apply."
        )
    name = raw_name(settings) if layer is Layer.RAW else history_name(settings)
    connection = Inventory(client, server.workspace_id).connection(name)
    if connection is None:
        raise ProvisioningError(f"Airbyte has no connection called {name}. Make it: dvd-rental airbyte apply.")
    return Syncs(client, connection.connection_id, Waiting(limit=server.sync_limit_seconds, cancel=server.cancel))


def slot_of(settings: Settings, layer: Layer) -> tuple[str, str]:
    """Publication and slot through which the layer's connection reads the log."""
    if layer is Layer.RAW:
        return settings.publication, settings.slot
    return settings.airbyte.history_publication, settings.airbyte.history_slot


def _source_moved(settings: Settings, layer: Layer, source_url: str, syncs: Syncs) -> bool:
    """Whether a sync that begins now certainly has rows to move.

    Airbyte lets go of the slot's log one sync late, and a sync reads up to a place of its own choice, so neither what
    the slot holds nor what came since the last sync began says anything: what counts is what committed after the last
    sync had ended. Where nobody waited for that one, nothing is certain.
    """
    last = syncs.newest()
    if last is None:
        return _has_rows(settings, source_url)
    watermark = read_watermark(settings, syncs.connection_id)
    if watermark is None or watermark.job_id != last.job_id:
        return False
    publication, slot = slot_of(settings, layer)
    try:
        changed = changed_since(source_url, settings.streams, publication=publication, slot=slot, lsn=watermark.lsn)
    except SlotBusyError:  # a sync of somebody else's reads it, which will be joined
        return False
    return bool(changed)


def _end_of_log(source_url: str) -> int:
    with connect(source_url) as source:
        return flushed_lsn(source)


def _has_rows(settings: Settings, source_url: str) -> bool:
    exists = sql.SQL(" or ").join(
        sql.SQL("exists (select from {})").format(sql.Identifier(*stream.source_table)) for stream in settings.streams
    )
    with connect(source_url) as source:
        row = source.execute(sql.SQL("select {}").format(exists)).fetchone()
    return bool(row and row[0])
