"""The embedded engine in a process of its own: ``EngineProcess`` outside, ``main`` inside."""

from pathlib import Path
from typing import Any

from bench.child import Sample, serve, timed
from bench.process import Process
from bench.source import PUBLICATION, Source
from dvd_rental_dagster.catalog import STREAMS
from dvd_rental_dagster.replication import sync
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination


class EngineProcess(Process):
    """Syncs that are asked for; ``python -m bench.engine``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(__name__, folder)

    def sync(self, source: Source, warehouse: Path, slot: str, *, streams: tuple[str, ...] = ()) -> Sample:
        """Sync the streams, all fifteen unless some are named, and count the rows that moved."""
        return self.ask(url=source.role_url, warehouse=str(warehouse), slot=slot, streams=streams)


def sync_once(source: Source, warehouse: Path, slot: str, *, streams: tuple[str, ...] = ()) -> Sample:
    """One sync in a new process; starting Python is not counted."""
    with EngineProcess(warehouse.parent) as engine:
        return engine.sync(source, warehouse, slot, streams=streams)


def _answer(request: dict[str, Any]) -> Sample:
    streams = [stream for stream in STREAMS if not request["streams"] or stream.name in request["streams"]]
    destination = DuckDBDestination(Path(request["warehouse"]))
    return timed(lambda: sync(request["url"], destination, streams, publication=PUBLICATION, slot=request["slot"]).rows)


if __name__ == "__main__":
    serve(_answer)
