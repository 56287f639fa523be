"""Syncs: one job for one wish, whatever happens on the way. Scenarios 61 and 62."""

import logging
import uuid
from collections.abc import Callable

import pytest
from fake import Answer, Fake, Silence, server_error
from wishes import OpenClient, Time

from dvd_rental_dagster.airbyte.answer import Job
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.jobs import Sync, Syncs, Waiting
from dvd_rental_dagster.errors import (
    AirbyteConflictError,
    AirbyteUncertainError,
    JobCancelledError,
    JobEmptyError,
    JobError,
    JobFailedError,
    JobOverdueError,
    JobVanishedError,
)

CONNECTION = str(uuid.uuid4())


class Interruption(BaseException):
    """What a run is ended by."""


def _interrupt(_job: Job) -> None:
    raise Interruption


def test_a_sync_is_started_once_and_waited_for(client: AirbyteClient, fake: Fake, time: Time) -> None:
    fake.next_statuses = ["pending", "queued", "running", "incomplete", "running", "succeeded"]
    heard: list[str] = []
    done = Syncs(client, CONNECTION).run(heard=lambda job: heard.append(job.status))
    assert done == Sync(job_id=1, bytes=4096, rows=64, joined=False)
    assert heard == ["queued", "running", "incomplete", "running", "succeeded"]
    assert len(fake.asked("POST", "/jobs")) == 1
    assert time.slept == sorted(time.slept)
    assert len(time.slept) == 5


def test_a_sync_that_goes_on_is_joined(client: AirbyteClient, fake: Fake) -> None:
    fake.add_job(CONNECTION, ["succeeded"])
    running = fake.add_job(CONNECTION, ["running", "succeeded"])
    assert Syncs(client, CONNECTION).run() == Sync(running, 4096, 64, joined=True)
    assert fake.asked("POST", "/jobs") == []


def test_of_two_syncs_that_go_on_the_newest_is_joined(client: AirbyteClient, fake: Fake) -> None:
    fake.add_job(CONNECTION, ["running"])
    newest = fake.add_job(CONNECTION, ["queued", "succeeded"])
    fake.add_job(str(uuid.uuid4()), ["running"])
    assert Syncs(client, CONNECTION).run().job_id == newest


def test_a_sync_that_never_ends_behind_one_that_ended_is_not_joined(client: AirbyteClient, fake: Fake) -> None:
    fake.add_job(CONNECTION, ["hibernating"])
    fake.add_job(CONNECTION, ["succeeded"])
    assert Syncs(client, CONNECTION).run() == Sync(3, 4096, 64, joined=False)


def test_a_sync_that_never_ends_hides_no_sync_that_ended_after_it(client: AirbyteClient, fake: Fake) -> None:
    for status in ("succeeded", "hibernating", "succeeded", "failed", "running"):
        fake.add_job(CONNECTION, [status])
    assert [job.job_id for job in Syncs(client, CONNECTION).ended_since(1)] == [3, 4]


def test_a_sync_that_begins_while_we_ask_is_joined(
    client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = Syncs(client, CONNECTION)
    look = syncs._newest

    def look_and_lose_the_race() -> list[Job]:
        seen = look()
        if not fake.jobs:
            fake.add_job(CONNECTION, ["running", "succeeded"])
        return seen

    monkeypatch.setattr(syncs, "_newest", look_and_lose_the_race)
    assert syncs.run() == Sync(1, 4096, 64, joined=True)
    assert len(fake.jobs) == 1


def test_a_clear_is_waited_for(client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    clear = fake.job(fake.add_job(CONNECTION, ["running"], kind="clear"))
    sleep = client.clock.sleep

    def sleep_until_it_ends(seconds: float) -> None:
        sleep(seconds)
        clear["statuses"] = ["succeeded"]

    monkeypatch.setitem(client.__dict__, "clock", type(client.clock)(client.clock.now, sleep_until_it_ends))
    assert Syncs(client, CONNECTION).run() == Sync(2, 4096, 64, joined=False)


def test_a_clear_without_end_is_one_error_in_the_server_s_words(client: AirbyteClient, fake: Fake) -> None:
    fake.add_job(CONNECTION, ["running"], kind="clear")
    with pytest.raises(AirbyteConflictError, match="A sync is already running for"):
        Syncs(client, CONNECTION).run()
    assert len(fake.jobs) == 1


@pytest.mark.parametrize("after", [False, True], ids=["not begun", "begun"])
@pytest.mark.parametrize("ends", [False, True], ids=["slow", "dropped"])
def test_a_lost_answer_makes_no_second_sync(open_client: OpenClient, fake: Fake, after: bool, ends: bool) -> None:
    fake.add_job(CONNECTION, ["succeeded"])
    fake.fail("POST", "/jobs", Silence(ends=ends, after=after))
    syncs = Syncs(open_client(answer=0.2), CONNECTION)
    if not after and not ends:  # the server can still be at work on it
        with pytest.raises(AirbyteUncertainError, match="run again, a sync that began is then joined"):
            syncs.run()
        assert len(fake.jobs) == 1
    else:
        assert syncs.run() == Sync(2, 4096, 64, joined=False)
        assert len(fake.jobs) == 2


def test_a_lost_answer_to_a_sync_that_is_over_already_makes_no_second_sync(client: AirbyteClient, fake: Fake) -> None:
    fake.next_statuses = ["succeeded"]
    fake.fail("POST", "/jobs", Silence(ends=True, after=True))
    assert Syncs(client, CONNECTION).run().job_id == 1
    assert len(fake.jobs) == 1


def test_what_breaks_while_waiting_is_borne(open_client: OpenClient, fake: Fake) -> None:
    fake.next_statuses = ["pending", "running", "running", "running", "succeeded"]
    limited = Answer(429, {"message": "You are being rate limited."})
    refused = Answer(401, {"errorId": str(uuid.uuid4())})
    for fault in (refused, server_error(), server_error(), Silence(ends=True), limited, Silence(ends=False)):
        fake.fail("GET", "/jobs/", fault)
    assert Syncs(open_client(answer=0.2), CONNECTION).run() == Sync(1, 4096, 64, joined=False)
    assert len(fake.asked("POST", "/jobs")) == 1


@pytest.mark.parametrize(("status", "kind"), [("failed", JobFailedError), ("cancelled", JobCancelledError)])
def test_a_job_that_ends_badly_is_an_error(
    client: AirbyteClient, fake: Fake, status: str, kind: type[JobError]
) -> None:
    fake.next_statuses = ["running", status]
    with pytest.raises(kind, match=f"Job 1 of Airbyte.* is {status}"):
        Syncs(client, CONNECTION, Waiting(cancel=True)).run()
    assert fake.asked("DELETE") == []


def test_a_job_that_vanishes_is_an_error(client: AirbyteClient, fake: Fake) -> None:
    def vanish(job: Job) -> None:
        fake.job(job.job_id)["vanished"] = True

    fake.next_statuses = ["running"]
    with pytest.raises(JobVanishedError, match="Could not find job 1"):
        Syncs(client, CONNECTION).run(heard=vanish)
    assert len(fake.jobs) == 1


def test_an_unknown_status_is_waited_for_and_told_once(
    client: AirbyteClient, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    fake.next_statuses = ["running", "hibernating", "hibernating", "succeeded"]
    assert Syncs(client, CONNECTION).run().rows == 64
    assert caplog.text.count("hibernating") == 1


@pytest.mark.parametrize("counts", [(0, 0), (None, None)])
def test_a_success_that_moved_nothing_while_changes_waited_is_an_error(
    client: AirbyteClient, fake: Fake, counts: tuple[int | None, int | None]
) -> None:
    """Airbyte has recorded a job that never ran as succeeded: airbyte#85355."""
    fake.next_counts = counts
    with pytest.raises(JobEmptyError, match="job 1"):
        Syncs(client, CONNECTION).run(source_moved=lambda: True)


@pytest.mark.parametrize("joined", [False, True])
def test_a_success_that_moved_nothing_is_none_of_our_errors_otherwise(
    client: AirbyteClient, fake: Fake, joined: bool
) -> None:
    """Nothing waited; or a sync of somebody else's may have begun before there was anything."""
    fake.next_counts = (0, 0)
    if joined:
        fake.add_job(CONNECTION, ["running", "succeeded"])
    assert Syncs(client, CONNECTION).run(source_moved=lambda: joined) == Sync(1, 0, 0, joined)


def test_the_source_is_asked_before_the_job_begins(client: AirbyteClient, fake: Fake) -> None:
    jobs_then: list[int] = []

    def moved() -> bool:
        jobs_then.append(len(fake.jobs))
        return True

    Syncs(client, CONNECTION).run(source_moved=moved)
    assert jobs_then == [0]


@pytest.mark.parametrize("cancel", [False, True])
def test_a_job_without_end_is_given_up(client: AirbyteClient, fake: Fake, time: Time, cancel: bool) -> None:
    fake.next_statuses = ["running"]
    with pytest.raises(JobOverdueError, match="DVD_RENTAL_AIRBYTE_SYNC_LIMIT_SECONDS"):
        Syncs(client, CONNECTION, Waiting(limit=600, cancel=cancel)).run()
    assert 600 <= sum(time.slept) < 630
    assert len(fake.asked("DELETE", "/jobs/1")) == cancel


def _end(fake: Fake) -> Callable[[Job], None]:
    def end_and_interrupt(job: Job) -> None:
        fake.job(job.job_id)["statuses"] = ["succeeded"]
        raise Interruption

    return end_and_interrupt


def test_an_interrupted_wait_cancels_a_live_job_of_ours_if_it_may(client: AirbyteClient, fake: Fake) -> None:
    """dagster#7630: a run that was ended left its job running."""
    fake.next_statuses = ["running"]
    with pytest.raises(Interruption):
        Syncs(client, CONNECTION, Waiting(cancel=True)).run(heard=_interrupt)
    assert fake.job(1)["statuses"] == ["cancelled"]


def test_an_interrupted_wait_leaves_the_job_alone_unless_told(client: AirbyteClient, fake: Fake) -> None:
    """dagster#10680: not everybody wants the job cancelled; the next sync joins it."""
    fake.next_statuses = ["running", "running", "succeeded"]
    with pytest.raises(Interruption):
        Syncs(client, CONNECTION).run(heard=_interrupt)
    assert fake.asked("DELETE") == []
    assert Syncs(client, CONNECTION).run() == Sync(1, 4096, 64, joined=True)


def test_a_job_that_ended_is_not_cancelled(client: AirbyteClient, fake: Fake) -> None:
    """dagster#7888: the cancellation hit jobs that had ended."""
    fake.next_statuses = ["running"]
    with pytest.raises(Interruption):
        Syncs(client, CONNECTION, Waiting(cancel=True)).run(heard=_end(fake))
    assert fake.asked("DELETE") == []


def test_a_job_of_somebody_else_s_is_not_cancelled(client: AirbyteClient, fake: Fake) -> None:
    fake.add_job(CONNECTION, ["running"])
    with pytest.raises(Interruption):
        Syncs(client, CONNECTION, Waiting(cancel=True)).run(heard=_interrupt)
    assert fake.asked("DELETE") == []


def test_a_cancellation_that_fails_does_not_hide_the_interruption(
    client: AirbyteClient, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    fake.next_statuses = ["running"]
    fake.fail("DELETE", "/jobs", server_error(), times=99)
    with pytest.raises(Interruption):
        Syncs(client, CONNECTION, Waiting(cancel=True)).run(heard=_interrupt)
    assert "Job 1 of Airbyte was not cancelled" in caplog.text
