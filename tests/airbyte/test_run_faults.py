"""Runs of the streams on a server that fails: a success without a second sync, or one clear error, and no secret told.

Scenarios 61 and 62.
"""

import logging
import os
import signal
import uuid
from collections.abc import Callable

import pytest
from dagster import AssetKey, DagsterInstance
from fake import Answer, Fake, Silence
from pipeline import Pipeline
from runs import delete_a_payment, job_ids, leaks, run_streams

from dvd_rental_dagster import errors

pytestmark = pytest.mark.xdist_group("airbyte faults")

Spoil = Callable[[Fake], None]
RAW_PAYMENT = AssetKey(["raw", "payment"])


def refuse_tokens(fake: Fake) -> None:
    fake.next_statuses = ["running", "succeeded"]
    fake.fail("GET", "/jobs/", Answer(401, {"errorId": str(uuid.uuid4())}))


def burst(fake: Fake) -> None:
    fake.next_statuses = ["running", "succeeded"]
    told = " ".join(source["configuration"]["password"] for source in fake.rows["sources"].values())
    fake.fail("GET", "/jobs/", Answer(500, {"message": f"cannot connect with {told}"}, checked=False), times=2)


def limit_the_rate(fake: Fake) -> None:
    for method in ("GET", "POST"):
        fake.fail(method, "/jobs", Answer(429, {"message": "You are being rate limited."}))


def exclude_once(fake: Fake) -> None:
    problem = {"status": 409, "type": "x", "title": "try-again-later", "detail": "A clear goes on."}
    fake.fail("POST", "/jobs", Answer(409, problem))


def take_long(fake: Fake) -> None:
    fake.next_statuses = ["pending", *["queued"] * 3, *["running"] * 4, "incomplete", "succeeded"]


def lose_the_answer(fake: Fake) -> None:
    fake.fail("POST", "/jobs", Silence(ends=True, after=True))


def unknown_status(fake: Fake) -> None:
    fake.next_statuses = ["running", "hibernating", "succeeded"]


def silence_the_counts(fake: Fake) -> None:
    fake.fail("POST", "/api/v1/jobs/get", Answer(500, "out of order", checked=False))


@pytest.mark.parametrize(
    "spoil",
    [
        refuse_tokens, burst, limit_the_rate, exclude_once, take_long, lose_the_answer, unknown_status,
        silence_the_counts,
    ],
)  # fmt: skip
def test_a_run_bears_it_with_one_job_a_layer_and_no_secret_told(
    pipeline: Pipeline, instance: DagsterInstance, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], spoil: Spoil,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    delete_a_payment(pipeline)
    jobs = len(pipeline.fake.jobs)
    spoil(pipeline.fake)

    outcome = run_streams(instance)

    assert outcome.success
    assert len(pipeline.fake.jobs) == jobs + 2
    assert job_ids(instance, RAW_PAYMENT)[-1] == jobs + 1
    assert job_ids(instance, AssetKey(["history", "payment"]))[-1] == jobs + 2
    output = capfd.readouterr()
    assert leaks(pipeline, caplog.text + output.out + output.err) == []


def fail_the_job(fake: Fake) -> None:
    fake.next_statuses = ["running", "failed"]


def forget_the_job(fake: Fake) -> None:
    fake.next_statuses = ["running", "succeeded"]
    problem = {"status": 404, "type": "x", "title": "resource-not-found", "detail": "Could not find the job."}
    fake.fail("GET", "/jobs/", Answer(404, problem, after=True))


def break_for_good(fake: Fake) -> None:
    fake.fail("GET", "/workspaces", Answer(404, {"message": "no such thing"}, checked=False))


def run_nothing(fake: Fake) -> None:
    fake.move, fake.next_counts = None, (0, 0)


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (fail_the_job, errors.JobFailedError),
        (forget_the_job, errors.JobVanishedError),
        (break_for_good, errors.AirbyteNotFoundError),
        (run_nothing, errors.JobEmptyError),
    ],
)
def test_what_cannot_be_borne_is_one_clear_error(
    pipeline: Pipeline, instance: DagsterInstance, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], spoil: Spoil, kind: type[errors.AirbyteError],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    assert run_streams(instance).success
    delete_a_payment(pipeline)
    jobs = len(pipeline.fake.jobs)
    spoil(pipeline.fake)

    outcome = run_streams(instance)

    assert not outcome.success
    (failure,) = outcome.get_step_failure_events()
    assert failure.step_failure_data.error is not None
    assert failure.step_failure_data.error.cause is not None
    assert failure.step_failure_data.error.cause.cls_name == kind.__name__
    assert len(pipeline.fake.jobs) <= jobs + 1
    output = capfd.readouterr()
    assert leaks(pipeline, caplog.text + output.out + output.err) == []


@pytest.mark.parametrize("older", [0, 1])
def test_the_newest_of_the_syncs_that_go_on_already_is_joined_by_a_run(
    pipeline: Pipeline, instance: DagsterInstance, older: int
) -> None:
    assert run_streams(instance).success
    delete_a_payment(pipeline)
    connection = pipeline.connection_id("dvd_rental")
    stuck = [pipeline.fake.add_job(connection, ["running"]) for _ in range(older)]
    foreign = pipeline.fake.add_job(connection, ["running", "succeeded"])
    outcome = run_streams(instance)
    for job_id in stuck:
        pipeline.fake.job(job_id)["statuses"] = ["cancelled"]
    assert outcome.success
    assert job_ids(instance, RAW_PAYMENT)[-1] == foreign


@pytest.mark.parametrize("cancel", [False, True])
def test_an_interrupted_run_cancels_its_job_only_when_told_to(
    pipeline: Pipeline, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, cancel: bool
) -> None:
    """dagster#7630, dagster#10680: a run that was ended left its job running; and not everybody wants it cancelled."""
    monkeypatch.setenv("DVD_RENTAL_AIRBYTE_CANCEL", str(cancel))
    assert run_streams(instance).success
    pipeline.fake.next_statuses = ["running"] * 1000
    signals = iter([signal.SIGINT])
    monkeypatch.setattr(pipeline.fake, "looked_at", lambda: [os.kill(os.getpid(), number) for number in signals])

    assert not run_streams(instance).success

    left = pipeline.fake.jobs[-1]["statuses"][0]
    pipeline.fake.jobs[-1]["statuses"] = ["cancelled"]
    assert left == ("cancelled" if cancel else "running")
