"""The embedded engine in a process of its own, seen from outside."""

from pathlib import Path

from bench.child import Sample
from bench.process import Process
from bench.source import PUBLICATION, Source


class EngineProcess(Process):
    """Syncs that are asked for (``bench.peer.engine``)."""

    def __init__(self, folder: Path) -> None:
        super().__init__("bench.peer.engine", folder)

    def sync(self, source: Source, warehouse: Path, slot: str, *, streams: tuple[str, ...] = ()) -> Sample:
        """Sync the streams, all fifteen unless some are named, and count the rows that moved."""
        return self.ask(
            url=source.role_url, warehouse=str(warehouse), publication=PUBLICATION, slot=slot, streams=streams
        )


def sync_once(source: Source, warehouse: Path, slot: str, *, streams: tuple[str, ...] = ()) -> Sample:
    """One sync in a new process; starting Python is not counted."""
    with EngineProcess(warehouse.parent) as engine:
        return engine.sync(source, warehouse, slot, streams=streams)
