"""What the settings ask for on the server: sources, a destination, and connections between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dvd_rental_dagster.airbyte.destination_configuration import RAW, DestinationKind, destination_kind
from dvd_rental_dagster.airbyte.source_configuration import (
    SOURCE_TYPE,
    WHOLE_TABLES,
    change_data_capture,
    source_configuration,
)
from dvd_rental_dagster.catalog import Stream, SyncMode
from dvd_rental_dagster.errors import SettingsError
from dvd_rental_dagster.settings import Settings

HISTORY = "history"
FULL_REFRESH = "full_refresh"


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

    ``cron`` is a Quartz expression, None for a connection that only runs when it is asked to. ``prefix`` comes before
    the name of each table that it writes.
    """

    name: str
    namespace: str | None
    cron: str | None
    streams: tuple[WantedStream, ...]
    prefix: str = ""


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


def full_refresh_name(settings: Settings) -> str:
    """What the connection that copies whole tables is called, and its source."""
    return f"{settings.airbyte.name}_{FULL_REFRESH}"


def our_names(settings: Settings) -> tuple[str, ...]:
    """What things of ours are called on the server, whether the settings ask for all of them now or not."""
    return raw_name(settings), history_name(settings), full_refresh_name(settings)


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
    options = settings.airbyte
    log = change_data_capture(options, publication=settings.publication, slot=settings.slot)
    sources = [_source(settings, source_url, raw, log)]
    connections = [_connection(settings, raw, kind, RAW, appends=not kind.dedups)]
    if options.history and kind.dedups:
        history = history_name(settings)
        log = change_data_capture(options, publication=options.history_publication, slot=options.history_slot)
        sources.append(_source(settings, source_url, history, log))
        connections.append(_connection(settings, history, kind, HISTORY, appends=True))
    if options.full_refresh:
        # A slot lets go of what one reader took, so whoever does not read the log has a source without one.
        sources.append(_source(settings, source_url, full_refresh_name(settings), WHOLE_TABLES))
        connections.append(_full_refresh(settings, kind))
    return Wanted(
        destination=WantedConnector(raw, kind.type, kind.configuration, kind.definition_id),
        sources=tuple(sources),
        connections=tuple(connections),
    )


def _source(settings: Settings, url: str, name: str, replication: Mapping[str, Any]) -> WantedConnector:
    return WantedConnector(name, SOURCE_TYPE, source_configuration(settings, url, replication))


def _connection(
    settings: Settings, name: str, kind: DestinationKind, namespace: str, *, appends: bool
) -> WantedConnection:
    streams = tuple(
        WantedStream(*stream.source_table, SyncMode.INCREMENTAL_APPEND if appends else stream.mode)
        for stream in settings.streams
    )
    cron = settings.airbyte.cron if settings.airbyte.schedule == "cron" else None
    return WantedConnection(name, namespace if kind.dedups else None, cron, streams)


def _full_refresh(settings: Settings, kind: DestinationKind) -> WantedConnection:
    """Copies every table whole, beside what other connections write: it would overwrite a table of the same name."""
    streams = tuple(WantedStream(*stream.source_table, SyncMode.FULL_REFRESH_OVERWRITE) for stream in settings.streams)
    namespace, prefix = (FULL_REFRESH, "") if kind.dedups else (None, f"{FULL_REFRESH}_")
    return WantedConnection(full_refresh_name(settings), namespace, None, streams, prefix)


def _check_names(streams: tuple[Stream, ...]) -> None:
    renamed = [stream.source_name for stream in streams if stream.source_table[1] != stream.name]
    if renamed:
        raise SettingsError(
            f"Airbyte keeps the names of tables, but the catalog renames {', '.join(renamed)}. "
            "Give those streams the names of their tables in the file that DVD_RENTAL_CATALOG names."
        )
