"""What the settings ask for on the server: sources, a destination, and connections between them."""

from dataclasses import dataclass
from typing import Any

from dvd_rental_dagster.airbyte.destination_configuration import RAW, DestinationKind, destination_kind
from dvd_rental_dagster.airbyte.source_configuration import SOURCE_TYPE, source_configuration
from dvd_rental_dagster.catalog import Stream, SyncMode
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.settings import Settings

HISTORY = "history"


@dataclass(frozen=True)
class WantedConnector:
    """A source or destination: its configuration as the connector wants it, secrets as ``SecretStr``."""

    name: str
    type: str
    configuration: dict[str, Any]
    definition_id: str | None = None


@dataclass(frozen=True)
class WantedStream:
    """A stream of a connection; with change data capture the connector itself knows cursor and key."""

    namespace: str
    name: str
    mode: SyncMode


@dataclass(frozen=True)
class WantedConnection:
    """A connection, named as its source; ``namespace`` is the schema it writes, None where there are no schemas.

    ``cron`` is a Quartz expression, None for a connection that only runs when it is asked to.
    """

    name: str
    namespace: str | None
    cron: str | None
    streams: tuple[WantedStream, ...]


@dataclass(frozen=True)
class Wanted:
    """Everything on the server that is ours."""

    destination: WantedConnector
    sources: tuple[WantedConnector, ...]
    connections: tuple[WantedConnection, ...]


def raw_name(settings: Settings) -> str:
    """What the connection to ``raw`` is called, its source, and the destination."""
    return settings.airbyte.name


def history_name(settings: Settings) -> str:
    """What the connection to ``history`` is called, and its source."""
    return f"{settings.airbyte.name}_{HISTORY}"


def wanted(settings: Settings, source_url: str) -> Wanted:
    """What is to be on the server.

    Where the destination can only append, as Local JSON, there is one connection, which is the history already.

    Args:
        settings: which source, destination and schedule.
        source_url: connection string of the role that captures changes.

    Raises:
        SettingsError: a setting is missing, or a stream is named otherwise than its table, which Airbyte cannot do.
    """
    _check_names(settings.streams)
    kind = destination_kind(settings)
    raw = raw_name(settings)
    sources = [_source(settings, source_url, raw, settings.publication, settings.slot)]
    connections = [_connection(settings, raw, kind, RAW, appends=not kind.dedups)]
    if settings.airbyte.history and kind.dedups:
        options = settings.airbyte
        history = history_name(settings)
        sources.append(_source(settings, source_url, history, options.history_publication, options.history_slot))
        connections.append(_connection(settings, history, kind, HISTORY, appends=True))
    return Wanted(
        destination=WantedConnector(raw, kind.type, kind.configuration, kind.definition_id),
        sources=tuple(sources),
        connections=tuple(connections),
    )


def _source(settings: Settings, url: str, name: str, publication: str, slot: str) -> WantedConnector:
    configuration = source_configuration(settings, url, publication=publication, slot=slot)
    return WantedConnector(name, SOURCE_TYPE, configuration)


def _connection(
    settings: Settings, name: str, kind: DestinationKind, namespace: str, *, appends: bool
) -> WantedConnection:
    streams = tuple(
        WantedStream(*stream.source_table, SyncMode.INCREMENTAL_APPEND if appends else stream.mode)
        for stream in settings.streams
    )
    cron = settings.airbyte.cron if settings.airbyte.schedule == "cron" else None
    return WantedConnection(name, namespace if kind.dedups else None, cron, streams)


def _check_names(streams: tuple[Stream, ...]) -> None:
    renamed = [stream.source_name for stream in streams if stream.source_table[1] != stream.name]
    if renamed:
        raise SettingsError(
            f"Airbyte keeps the names of tables, but the catalog renames {', '.join(renamed)}. "
            "Give those streams the names of their tables in the file that DVD_RENTAL_CATALOG names."
        )
