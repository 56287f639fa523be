"""Behind which place of the source's log a connection has certainly read nothing: noted after each sync."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from dvd_rental_dagster.airbyte.jobs import Sync
from dvd_rental_dagster.settings import Settings


@dataclass(frozen=True)
class Watermark:
    """The job that was waited for last, and the log's end (in bytes) right after it had ended."""

    job_id: int
    lsn: int


def read_watermark(settings: Settings, connection_id: str) -> Watermark | None:
    """The note on a connection; none before the first sync that was waited for."""
    path = _path(settings, connection_id)
    return Watermark(**json.loads(path.read_text())) if path.exists() else None


def write_watermark(settings: Settings, connection_id: str, sync: Sync, lsn: int) -> None:
    """Note that ``sync`` had ended when the log ended at ``lsn``."""
    path = _path(settings, connection_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(Watermark(sync.job_id, lsn))))
    partial.replace(path)


def _path(settings: Settings, connection_id: str) -> Path:
    return settings.home / "airbyte" / f"{connection_id}.json"
