"""Source and warehouse compared after Airbyte's sync: the values that it carries as they are, row for row."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from dvd_rental_dagster.airbyte.arrival import Arrived
from dvd_rental_dagster.airbyte.destination_configuration import RAW
from dvd_rental_dagster.catalog import SyncMode
from dvd_rental_dagster.errors import SlotBusyError
from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.replication.column import Column, Kind, TypeCatalog
from dvd_rental_dagster.replication.pending import changed_since
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.replication.slot import exported_snapshot
from dvd_rental_dagster.replication.snapshot import snapshot_reader
from dvd_rental_dagster.replication.table import read_table
from dvd_rental_dagster.replication.verification import Comparison, compare
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.source.endpoint import source_url

_AS_THEY_ARE = frozenset(
    {Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT, Kind.BOOLEAN, Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.UUID}
)
_TEXTS = frozenset({"text", "varchar", "bpchar"})
_DOUBLE_DIGITS = 15
"""Decimal digits that a double keeps; Airbyte carries a numeric through one."""


@dataclass(frozen=True)
class Comparisons:
    """Streams compared with the source as it was at ``lsn``; of those ``changed``, rows came since the sync began.

    ``obstacles`` tells of streams that could not be compared why.
    """

    lsn: int
    streams: tuple[Comparison, ...]
    changed: frozenset[str]
    obstacles: dict[str, str]


def compare_streams(
    settings: Settings, arrived: Arrived, *, only: Collection[str], since: int | None, progress: Progress = silent
) -> Comparisons:
    """Compare the streams of these names with the source as it is now.

    Airbyte stops at a place of the log of its own choice, so a stream can differ only because it changed since: behind
    ``since``, the log's end when the sync began, or at an unknown moment where that is None.

    Raises:
        SnapshotError: no snapshot can be taken now.
        SlotError: the slot is missing or lost.
        WarehouseError: the warehouse cannot be read.
        SourceUnreachableError: the source cannot be reached.
    """
    streams = [
        stream
        for stream in settings.streams
        if stream.mode is SyncMode.INCREMENTAL_DEDUPED_HISTORY and stream.name in only
    ]
    url = source_url(settings, "airbyte", local=True)
    comparisons, obstacles = [], {}
    columns = arrived.columns(RAW)
    with (
        connect(url) as source,
        exported_snapshot(url, source, settings.slot) as snapshot,
        arrived.side() as warehouse,
        snapshot_reader(url, source, snapshot.name) as reader,
    ):
        types = TypeCatalog(source)
        for number, stream in enumerate(streams):
            progress(f"Comparing {stream.name}", number, len(streams))
            table = read_table(source, types, stream, settings.publication)
            if missing := [column.name for column in table.columns if column.name.lower() not in columns[stream.name]]:
                obstacles[stream.name] = (
                    f"{stream.source_name} has columns that did not arrive yet: {', '.join(missing)}. Refresh the "
                    "connection's schema in Airbyte, then sync again."
                )
                continue
            carried = tuple(column for column in table.columns if column.name in table.key or _arrives_as_it_is(column))
            comparisons.append(compare(warehouse, reader, replace(table, columns=carried)))
    return Comparisons(snapshot.lsn, tuple(comparisons), _changed(settings, url, since), obstacles)


def _changed(settings: Settings, url: str, since: int | None) -> frozenset[str]:
    everything = frozenset(stream.name for stream in settings.streams)
    if since is None:
        return everything
    try:
        return frozenset(
            changed_since(url, settings.streams, publication=settings.publication, slot=settings.slot, lsn=since)
        )
    except SlotBusyError:  # the next sync has begun, and what it takes is not ours to tell
        return everything


def _arrives_as_it_is(column: Column) -> bool:
    """Whether Airbyte changes at most the type of the column's values."""
    if column.kind is Kind.DECIMAL:
        return column.precision <= _DOUBLE_DIGITS
    return column.kind in _AS_THEY_ARE or (column.kind is Kind.TEXT and column.pg_type in _TEXTS)
