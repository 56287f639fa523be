"""Syncs of a connection: started once or joined, waited for, and not believed before they are looked at."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, TypeGuard

from dvd_rental_dagster.airbyte.answer import Job, Jobs, read
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.errors import (
    AirbyteConflictError,
    AirbyteError,
    AirbyteNotFoundError,
    JobCancelledError,
    JobEmptyError,
    JobError,
    JobFailedError,
    JobOverdueError,
    JobVanishedError,
)

_RUN_AGAIN = "run again, a sync that began is then joined"

_log = logging.getLogger(__name__)


def _unheard(job: Job) -> None:
    del job


@dataclass(frozen=True)
class Waiting:
    """How a sync is waited for.

    Seconds between two looks grow from ``first`` to ``longest``; after ``limit`` seconds it is given up. ``cancel``:
    when the wait is interrupted or given up, cancel the job, if it is ours and still goes on.
    """

    first: float = 1.0
    longest: float = 15.0
    limit: float = 21600.0
    cancel: bool = False


@dataclass(frozen=True)
class Sync:
    """A sync that succeeded: bytes and rows that the server counted, and whether somebody else had started it."""

    job_id: int
    bytes: int
    rows: int
    joined: bool


@dataclass
class _Start:
    """How far the start of a sync came, also when it is interrupted.

    ``last``: a request of ours may have begun a sync newer than this one; None while certainly none has.
    """

    job: Job | None = None
    joined: bool = False
    last: int | None = None
    lost: bool = False
    """An answer to a request of ours was lost."""

    def may_have_begun(self, job: Job | None) -> TypeGuard[Job]:
        """Whether the job can be what our request began."""
        return job is not None and self.last is not None and job.job_id > self.last


class Syncs:
    """The syncs of one connection."""

    def __init__(self, client: AirbyteClient, connection_id: str, waiting: Waiting | None = None) -> None:
        self._client = client
        self.connection_id = connection_id
        self._waiting = waiting or Waiting()

    def run(self, *, source_moved: Callable[[], bool] = lambda: False, heard: Callable[[Job], None] = _unheard) -> Sync:
        """Sync the connection, or join the sync that goes on already.

        Args:
            source_moved: whether changes wait in the source; asked before the job starts.
            heard: hears of the job whenever it was looked at.

        Raises:
            JobError: it failed, was cancelled, vanished, took too long, or moved nothing while changes waited. Of a
                sync that somebody else had started, the last is not known.
            AirbyteConflictError: other work on the connection, as a clear, excludes it for too long.
            AirbyteError: the server does not answer.
        """
        moved = source_moved()
        start = _Start()
        try:
            job = self._await(self._start(start), heard)
        except JobOverdueError:
            self._cancel(start)
            raise
        except AirbyteError:
            raise
        except BaseException:  # whatever interrupts: Ctrl-C, or the end of a run that this one belongs to
            self._cancel(start)
            raise
        if moved and not start.joined and not job.bytes_synced and not job.rows_synced:
            raise JobEmptyError(
                f"Airbyte says that job {job.job_id} succeeded, but it moved nothing although changes waited in the "
                "source. Look into the job's log in Airbyte: the slot may be another's, or the job may never have run."
            )
        return Sync(job.job_id, job.bytes_synced or 0, job.rows_synced or 0, start.joined)

    def newest(self) -> Job | None:
        """The newest sync, whatever its status.

        Raises:
            AirbyteError: the server does not tell.
        """
        return next(iter(self._newest()), None)

    def last_succeeded(self) -> Job | None:
        """The newest sync that succeeded, among the latest.

        Raises:
            AirbyteError: the server does not tell.
        """
        return next((job for job in self._newest() if job.status == "succeeded"), None)

    def ended_since(self, job_id: int) -> list[Job]:
        """The syncs behind this one that have ended, the oldest first.

        One that goes on although a newer one has ended is passed over: it may never end.

        Raises:
            AirbyteError: the server does not tell.
        """
        rows = self._client.pages("/jobs", self._query())
        jobs = takewhile(lambda job: job.job_id > job_id, (read(Job, row) for row in rows))
        return sorted((job for job in jobs if job.has_ended), key=lambda job: job.job_id)

    def _start(self, start: _Start) -> Job:
        """The job to wait for: ours, or one that somebody else had started."""
        for attempt in range(self._client.backoff.attempts):
            newest = self.newest()
            if start.may_have_begun(newest):
                start.job = newest
                return newest
            if newest is not None and not newest.has_ended:
                _log.info("Joining job %d of Airbyte, which is %s.", newest.job_id, newest.status)
                start.job, start.joined = newest, True
                return newest
            start.last = newest.job_id if newest is not None else 0
            body = {"connectionId": self.connection_id, "jobType": "sync"}
            try:
                made = self._client.create("/jobs", body, partial(self._started, start), remedy=_RUN_AGAIN)
            except AirbyteConflictError as error:
                # A sync that began since we looked is joined, and is ours where an answer to us was lost; a clear or a
                # refresh is waited for.
                refusal = error
                start.last = start.last if start.lost else None
            else:
                start.job = read(Job, made)
                return start.job
            self._client.clock.sleep(self._client.backoff.seconds(attempt, self._client.clock))
        raise refusal

    def _started(self, start: _Start) -> dict[str, Any] | None:
        """The sync that our lost request began."""
        start.lost = True
        newest = self.newest()
        return newest.model_dump(by_alias=True) if start.may_have_begun(newest) else None

    def _newest(self) -> list[Job]:
        """The latest syncs, the newest first; one page of them, for a connection can have thousands."""
        answer = self._client.get("/jobs", {**self._query(), "limit": 20})
        return sorted(read(Jobs, answer).data, key=lambda job: job.job_id, reverse=True)

    def _query(self) -> dict[str, str]:
        return {"connectionId": self.connection_id, "jobType": "sync", "orderBy": "createdAt|DESC"}

    def _await(self, job: Job, heard: Callable[[Job], None]) -> Job:
        clock = self._client.clock
        until = clock.now() + self._waiting.limit
        seconds = self._waiting.first
        warned: set[str] = set()
        while not job.has_ended:
            if not job.is_known and job.status not in warned:
                warned.add(job.status)
                _log.warning("Job %d of Airbyte is %r, which is no status we know; waiting.", job.job_id, job.status)
            if clock.now() >= until:
                raise JobOverdueError(
                    f"Job {job.job_id} of Airbyte is still {job.status} after {self._waiting.limit:.0f} s. "
                    "Look into its log in Airbyte, or allow more by DVD_RENTAL_AIRBYTE_SYNC_LIMIT_SECONDS."
                )
            clock.sleep(seconds)
            seconds = min(seconds * 1.5, self._waiting.longest)
            job = self._look(job.job_id)
            heard(job)
        _check(job)
        return job

    def _look(self, job_id: int) -> Job:
        try:
            return read(Job, self._client.get(f"/jobs/{job_id}"))
        except AirbyteNotFoundError as error:
            raise JobVanishedError(
                f"Airbyte does not know job {job_id} any more; what it moved is not known. "
                f"See whether the connection is still there: dvd-rental airbyte plan. {error}"
            ) from error

    def _cancel(self, start: _Start) -> None:
        """Cancel the job if it is ours, goes on, and the settings say so; a job that ended is left alone."""
        if not self._waiting.cancel or start.joined:
            return
        name = "The sync that was being started" if start.job is None else f"Job {start.job.job_id} of Airbyte"
        try:
            job = start.job or self._found(start)
            if job is not None and not self._look(job.job_id).has_ended:
                self._client.delete(f"/jobs/{job.job_id}")
                _log.info("Cancelled job %d of Airbyte.", job.job_id)
        except AirbyteError as error:  # what interrupted us is what has to be told
            _log.warning("%s was not cancelled: %s", name, error)

    def _found(self, start: _Start) -> Job | None:
        """The job of a start that was interrupted; looked for several times, for the server can still be at work."""
        if start.last is None:
            return None
        _log.info("Looking for the sync that was being started.")
        for attempt in range(self._client.backoff.attempts):
            if attempt:
                self._client.clock.sleep(self._client.backoff.seconds(attempt - 1, self._client.clock))
            newest = self.newest()
            if start.may_have_begun(newest):
                return newest
        _log.warning("No sync was found to cancel; one that begins after all goes on, and the next run joins it.")
        return None


def _check(job: Job) -> None:
    """Raise the error of a job that ended without success."""
    errors: dict[str, tuple[type[JobError], str]] = {
        "failed": (JobFailedError, "The reason stands in the job's log in Airbyte; mend it and sync again"),
        "cancelled": (JobCancelledError, "Sync again if that was not intended"),
    }
    if job.status in errors:
        kind, remedy = errors[job.status]
        raise kind(f"Job {job.job_id} of Airbyte, begun {job.start_time}, is {job.status}. {remedy}.")
