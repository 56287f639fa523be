"""What a job moved, stream by stream; the public API tells only the sums."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from dvd_rental_dagster.airbyte.answer import Answer, read
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.errors import AirbyteError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Count:
    """Rows and bytes that arrived."""

    rows: int = 0
    bytes: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.rows + other.rows, self.bytes + other.bytes)


@dataclass(frozen=True)
class Counts:
    """What a job moved in all, and by stream; ``streams`` is None where Airbyte does not tell."""

    total: Count
    streams: Mapping[str, Count] | None

    def of(self, stream: str) -> Count | None:
        """What the job moved of the stream; None where Airbyte does not tell."""
        return None if self.streams is None else self.streams.get(stream, Count())

    def moved(self, stream: str) -> bool:
        """Whether rows of the stream arrived; of any stream where Airbyte tells the total alone."""
        count = self.of(stream) or (self.total if self.streams is None else Count())
        return count != Count()


class _Stats(Answer):
    records_committed: int
    bytes_committed: int = 0


class _StreamStats(Answer):
    stream_name: str
    stats: _Stats


class _Attempt(Answer):
    stream_stats: tuple[_StreamStats, ...]


class _Numbered(Answer):
    attempt: _Attempt


class _JobInfo(Answer):
    attempts: tuple[_Numbered, ...] = Field(min_length=1)


def counts(client: AirbyteClient, job_id: int, total: Count) -> Counts:
    """What the job moved; that the configuration API does not answer, or not to us, is told and no reason to fail."""
    try:
        return Counts(total, _by_stream(client, job_id))
    except AirbyteError as error:
        _log.warning("What job %d of Airbyte moved is not known by stream. %s", job_id, error)
        return Counts(total, None)


def _by_stream(client: AirbyteClient, job_id: int) -> dict[str, Count]:
    """Rows and bytes by stream over all attempts; a stream that is not named moved nothing."""
    job = read(_JobInfo, client.ask_configuration("/jobs/get", {"id": job_id}))
    sums: defaultdict[str, Count] = defaultdict(Count)
    for numbered in job.attempts:
        for stream in numbered.attempt.stream_stats:
            sums[stream.stream_name] += Count(stream.stats.records_committed, stream.stats.bytes_committed)
    return dict(sums)
