"""What one sync did."""

from dataclasses import dataclass, field


@dataclass
class StreamReport:
    """One stream's share of a sync.

    ``snapshot`` counts rows of a full load; the others count changes in the log; ``evolved`` tells that the columns
    changed. ``lsn`` is that of the last change, ``seconds`` the time the warehouse took for the stream.
    """

    stream: str
    snapshot: int | None = None
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    truncated: int = 0
    evolved: bool = False
    lsn: int = 0
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """Rows loaded and changed."""
        return (self.snapshot or 0) + self.inserted + self.updated + self.deleted + self.truncated

    @property
    def changed(self) -> bool:
        """Whether the sync wrote anything for the stream; a full load of an empty table counts."""
        return self.snapshot is not None or self.evolved or self.rows > 0

    def add(self, later: "StreamReport") -> None:
        """Count in what a later sync did for the stream."""
        if later.snapshot is not None:
            self.snapshot = (self.snapshot or 0) + later.snapshot
        self.inserted += later.inserted
        self.updated += later.updated
        self.deleted += later.deleted
        self.truncated += later.truncated
        self.evolved |= later.evolved
        self.lsn = max(self.lsn, later.lsn)
        self.seconds += later.seconds


@dataclass
class SyncReport:
    """What one sync did: the log's place before and after (bytes), its streams and its duration in seconds."""

    sync_id: int
    start_lsn: int
    end_lsn: int
    seconds: float = 0.0
    transactions: int = 0
    streams: dict[str, StreamReport] = field(default_factory=dict)

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of the streams that the sync wrote to."""
        return tuple(name for name, report in self.streams.items() if report.changed)

    @property
    def rows(self) -> int:
        """Rows loaded and changed over all streams."""
        return sum(report.rows for report in self.streams.values())

    def add(self, later: "SyncReport") -> None:
        """Count in a later sync of the same streams, as if the two had been one."""
        self.sync_id = later.sync_id
        self.end_lsn = later.end_lsn
        self.seconds += later.seconds
        self.transactions += later.transactions
        for name, stream in later.streams.items():
            self.streams[name].add(stream)
