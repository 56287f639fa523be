"""Syncs that ended since somebody last looked, whoever started them."""

from collections.abc import Mapping
from dataclasses import dataclass

from dvd_rental_dagster.airbyte.answer import Job
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.counts import Count, Counts, counts
from dvd_rental_dagster.airbyte.loading import Layer, layer_syncs
from dvd_rental_dagster.airbyte.server import Server, chosen_server, known_secrets
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.source.endpoint import source_url


@dataclass(frozen=True)
class Arrival:
    """A sync of a layer that ended; ``counts`` is None of one that did not succeed."""

    layer: Layer
    job: Job
    counts: Counts | None


def arrivals_since(settings: Settings, seen: Mapping[str, int]) -> list[Arrival]:
    """The syncs of each layer behind the one seen last, the oldest first; where none was seen, only the newest success.

    A sync that still goes on is left for later, unless a newer one has ended.

    Raises:
        ProvisioningError: a connection is not on the server.
        AirbyteError: the server does not tell.
        SettingsError: the address or the credentials cannot be used.
        SourceError: the source is down, so its password, which the server could repeat, is not known.
    """
    url = source_url(settings, "airbyte", local=True)
    layers = [Layer.RAW, Layer.HISTORY] if settings.airbyte.history else [Layer.RAW]
    server = chosen_server(settings.airbyte)
    with server.client() as client:
        client.keep_secret(known_secrets(settings, url))
        return [arrival for layer in layers for arrival in _arrivals(client, server, settings, layer, seen.get(layer))]


def _arrivals(
    client: AirbyteClient, server: Server, settings: Settings, layer: Layer, seen: int | None
) -> list[Arrival]:
    syncs = layer_syncs(client, server, settings, layer)
    last = syncs.last_succeeded() if seen is None else None
    jobs = syncs.ended_since(seen) if seen is not None else [last] if last is not None else []
    return [Arrival(layer, job, _counts(client, job)) for job in jobs]


def _counts(client: AirbyteClient, job: Job) -> Counts | None:
    if job.status != "succeeded":
        return None
    return counts(client, job.job_id, Count(job.rows_synced or 0, job.bytes_synced or 0))
