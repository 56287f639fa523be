"""The start of a sync: one job for one wish, found and ours when its answer is lost. Scenarios 61 and 62."""

import signal
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake import Answer, Fake, Silence, server_error

from dvd_rental_dagster.airbyte.answer import Job
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.jobs import Sync, Syncs, Waiting
from dvd_rental_dagster.errors import (
    AirbyteAccessError,
    AirbyteError,
    AirbyteUncertainError,
    AirbyteUnreachableError,
    JobEmptyError,
)

CONNECTION = str(uuid.uuid4())
FAULTS = {
    "rate limited": (Answer(429, {"message": "You are being rate limited."}), AirbyteUnreachableError),
    "token refused": (Answer(401, {"errorId": str(uuid.uuid4())}), AirbyteAccessError),
    "server error": (server_error(), AirbyteUncertainError),
    "gateway timeout": (Answer(504, "<html>timeout</html>", checked=False), AirbyteUncertainError),
}


@pytest.mark.parametrize("after", [False, True], ids=["not begun", "begun"])
@pytest.mark.parametrize(("fault", "kind"), FAULTS.values(), ids=FAULTS)
def test_a_start_that_fails_once_makes_one_sync(
    client: AirbyteClient, fake: Fake, fault: Answer, kind: type[AirbyteError], after: bool
) -> None:
    fake.fail("POST", "/jobs", replace(fault, after=after))
    if fault.status == 504 and not after:  # the server can still be at work on it
        with pytest.raises(kind, match="POST /jobs by 504"):
            Syncs(client, CONNECTION).run()
        assert fake.jobs == []
    else:
        assert Syncs(client, CONNECTION).run().job_id == 1
        assert len(fake.jobs) == 1


@pytest.mark.parametrize("after", [False, True], ids=["not begun", "begun"])
@pytest.mark.parametrize(("fault", "kind"), FAULTS.values(), ids=FAULTS)
def test_a_start_that_fails_for_good_is_one_error_and_the_next_run_makes_no_second_sync(
    client: AirbyteClient, fake: Fake, fault: Answer, kind: type[AirbyteError], after: bool
) -> None:
    fake.fail("POST", "/jobs", replace(fault, after=after), times=99)
    if after and kind is AirbyteUncertainError:  # whoever looks finds it
        assert Syncs(client, CONNECTION).run() == Sync(1, 4096, 64, joined=False)
    else:
        with pytest.raises(kind, match=f"POST /jobs by {fault.status}") as caught:
            Syncs(client, CONNECTION).run()
        assert caught.type is kind
        assert len(fake.jobs) == after
        fake.heal()
        assert Syncs(client, CONNECTION).run() == Sync(1, 4096, 64, joined=after)
    assert len(fake.jobs) == 1


def _on_sleep(client: AirbyteClient, monkeypatch: pytest.MonkeyPatch, do: Callable[[int], None]) -> None:
    """Do this whenever the client has slept, knowing how many times that was."""
    sleep, slept = client.clock.sleep, []

    def sleep_and_do(seconds: float) -> None:
        sleep(seconds)
        slept.append(seconds)
        do(len(slept))

    monkeypatch.setitem(client.__dict__, "clock", type(client.clock)(client.clock.now, sleep_and_do))


def _interrupt(_time: int) -> None:
    raise KeyboardInterrupt


def _interrupt_while_posting(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, main = fake.answer, threading.main_thread().ident
    assert main is not None

    def answer_and_interrupt(method: str, *rest: Any) -> Answer | Silence:
        done = answer(method, *rest)
        if method == "POST" and rest[0].endswith("/jobs"):
            signal.pthread_kill(main, signal.SIGINT)
        return done

    monkeypatch.setattr(fake, "answer", answer_and_interrupt)


@pytest.mark.parametrize("cancel", [False, True])
def test_an_interruption_while_the_start_is_asked_for_cancels_the_sync_that_began_if_it_may(
    client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch, cancel: bool
) -> None:
    fake.add_job(CONNECTION, ["succeeded"])
    fake.next_statuses = ["running"]
    fake.fail("POST", "/jobs", Silence(ends=False, after=True))
    _interrupt_while_posting(fake, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        Syncs(client, CONNECTION, Waiting(cancel=cancel)).run()
    assert [job["statuses"][0] for job in fake.jobs] == ["succeeded", "cancelled" if cancel else "running"]


def test_an_interruption_between_two_requests_for_a_start_cancels_the_sync_that_began(
    client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.next_statuses = ["running"]
    fake.fail("POST", "/jobs", Silence(ends=True, after=True))
    _on_sleep(client, monkeypatch, _interrupt)
    with pytest.raises(KeyboardInterrupt):
        Syncs(client, CONNECTION, Waiting(cancel=True)).run()
    assert fake.job(1)["statuses"] == ["cancelled"]


def test_a_sync_that_begins_only_after_the_interruption_is_cancelled_too(
    client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(time: int) -> None:
        if time == 2:
            fake.add_job(CONNECTION, ["running"])

    fake.fail("POST", "/jobs", Silence(ends=False))
    _interrupt_while_posting(fake, monkeypatch)
    _on_sleep(client, monkeypatch, begin)
    with pytest.raises(KeyboardInterrupt):
        Syncs(client, CONNECTION, Waiting(cancel=True)).run()
    assert fake.job(1)["statuses"] == ["cancelled"]


def test_an_interruption_while_nothing_began_cancels_nothing_and_says_so(
    client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake.fail("POST", "/jobs", Silence(ends=False))
    _interrupt_while_posting(fake, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        Syncs(client, CONNECTION, Waiting(cancel=True)).run()
    assert fake.jobs == []
    assert fake.asked("DELETE") == []
    assert "No sync was found to cancel" in caplog.text


def test_an_interruption_while_a_clear_is_waited_for_leaves_a_sync_of_somebody_else_s_alone(
    client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin_and_interrupt(_time: int) -> None:
        fake.add_job(CONNECTION, ["running"])
        raise KeyboardInterrupt

    fake.add_job(CONNECTION, ["running"], kind="clear")
    _on_sleep(client, monkeypatch, begin_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        Syncs(client, CONNECTION, Waiting(cancel=True)).run()
    assert fake.asked("DELETE") == []


def _begin_late(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first request for a sync break, and its job appear just before the second, which is refused for it."""
    fake.fail("POST", "/jobs", server_error())
    answer, posts = fake.answer, iter([False, True])

    def begin_and_answer(method: str, *rest: Any) -> Answer | Silence:
        if method == "POST" and rest[0].endswith("/jobs") and next(posts, False):
            fake.add_job(CONNECTION, fake.next_statuses)
        return answer(method, *rest)

    monkeypatch.setattr(fake, "answer", begin_and_answer)


def test_a_sync_that_a_lost_request_began_late_is_ours(
    client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin_late(fake, monkeypatch)
    assert Syncs(client, CONNECTION).run() == Sync(1, 4096, 64, joined=False)
    assert len(fake.jobs) == 1


def test_a_sync_that_a_lost_request_began_late_is_not_begun_again_when_it_is_over(
    client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(_time: int) -> None:
        for job in fake.jobs:
            fake.finish(job["jobId"])

    _begin_late(fake, monkeypatch)
    _on_sleep(client, monkeypatch, finish)
    assert Syncs(client, CONNECTION).run() == Sync(1, 4096, 64, joined=False)
    assert len(fake.jobs) == 1


def test_a_sync_that_a_lost_request_began_late_is_cancelled_if_it_may(
    client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_job: Job) -> None:
        raise KeyboardInterrupt

    fake.next_statuses = ["running"]
    _begin_late(fake, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        Syncs(client, CONNECTION, Waiting(cancel=True)).run(heard=interrupt)
    assert fake.job(1)["statuses"] == ["cancelled"]


def test_a_sync_that_a_lost_request_began_late_is_called_empty(
    client: AirbyteClient, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.next_counts = (0, 0)
    _begin_late(fake, monkeypatch)
    with pytest.raises(JobEmptyError, match="job 1"):
        Syncs(client, CONNECTION).run(source_moved=lambda: True)
