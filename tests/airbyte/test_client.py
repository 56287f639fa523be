"""The client: who it is to the server, what it bears, and what it never does twice."""

import base64
import logging
from typing import Any

import pytest
from fake import CLIENT_SECRET, Answer, Fake, Silence, server_error
from pydantic import SecretStr
from wishes import OpenClient, Time

from dvd_rental_dagster.airbyte.address import address
from dvd_rental_dagster.airbyte.authentication import Application, User
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.server import credentials
from dvd_rental_dagster.errors import (
    AirbyteAccessError,
    AirbyteAnswerError,
    AirbyteConflictError,
    AirbyteError,
    AirbyteNotFoundError,
    AirbyteRefusedError,
    AirbyteUncertainError,
    AirbyteUnreachableError,
    SettingsError,
)
from dvd_rental_dagster.settings import AirbyteSettings

NOWHERE = "00000000-0000-0000-0000-000000000000"
PASSING = {
    "out of time": Answer(408, {"status": 408, "type": "x", "title": "request-timeout"}, checked=False),
    "rate limited": Answer(429, {"message": "You are being rate limited."}),
    "server error": server_error(),
    "bad gateway": Answer(502, "<html>bad gateway</html>", checked=False),
    "dropped": Silence(ends=True),
    "slow": Silence(ends=False),
}
DONE = {
    "dropped": Silence(ends=True, after=True),
    "slow": Silence(ends=False, after=True),
    "server error": Answer(500, {"errorId": NOWHERE}, after=True),
    "gateway timeout": Answer(504, "<html>timeout</html>", after=True, checked=False),
}
NOT_DONE = {name: PASSING[name] for name in ("rate limited", "server error", "dropped")}


def _workspaces(client: AirbyteClient) -> list[str]:
    return [row["name"] for row in client.pages("/workspaces")]


def _make_source(client: AirbyteClient, fake: Fake, *, slow: bool = False) -> dict[str, Any]:
    body = {
        "name": "shop",
        "workspaceId": next(iter(fake.rows["workspaces"])),
        "configuration": {"sourceType": "postgres", "password": SecretStr("the-source-password")},
    }

    def look() -> dict[str, Any] | None:
        return next((row for row in client.pages("/sources") if row["name"] == "shop"), None)

    return client.create("/sources", body, look, slow=slow)


def test_one_token_serves_many_requests(client: AirbyteClient, fake: Fake) -> None:
    for _ in range(3):
        assert _workspaces(client) == ["Default Workspace"]
    assert len(fake.tokens) == 1


@pytest.mark.parametrize("expires_in", [900, 10])
def test_a_token_is_renewed_before_it_expires(client: AirbyteClient, fake: Fake, time: Time, expires_in: int) -> None:
    fake.expires_in = expires_in
    _workspaces(client)
    time.seconds += expires_in * 0.5
    _workspaces(client)
    assert len(fake.tokens) == 1
    time.seconds += expires_in * 0.5 - 1
    _workspaces(client)
    assert len(fake.tokens) == 2


def test_a_token_that_is_refused_in_the_middle_is_renewed_once(client: AirbyteClient, fake: Fake, time: Time) -> None:
    _workspaces(client)
    fake.expire_tokens()
    assert _make_source(client, fake)["name"] == "shop"
    assert len(fake.tokens) == 2
    assert len(fake.rows["sources"]) == 1
    assert time.slept == []


def test_a_new_token_that_is_refused_too_is_an_error(client: AirbyteClient, fake: Fake) -> None:
    fake.fail("GET", "/workspaces", Answer(401, {"errorId": NOWHERE}), times=99)
    with pytest.raises(AirbyteAccessError, match=NOWHERE):
        _workspaces(client)
    assert len(fake.asked("GET")) == 2


def test_a_wrong_secret_is_an_error_that_does_not_repeat_it(open_client: OpenClient, fake: Fake) -> None:
    client = open_client(Application("3f1a", SecretStr("a-wrong-secret")))
    with pytest.raises(AirbyteAccessError, match="DVD_RENTAL_AIRBYTE_CLIENT_SECRET") as caught:
        _workspaces(client)
    assert "a-wrong-secret" not in str(caught.value)
    assert len(fake.requests) == 1


def test_an_older_server_takes_name_and_password(open_client: OpenClient, fake: Fake) -> None:
    fake.access = f"Basic {base64.b64encode(b'airbyte:word').decode()}"
    assert _workspaces(open_client(User("airbyte", SecretStr("word")))) == ["Default Workspace"]
    with pytest.raises(AirbyteAccessError):
        _workspaces(open_client(User("airbyte", SecretStr("wrong"))))


def test_an_open_server_is_told_no_name(open_client: OpenClient, fake: Fake) -> None:
    fake.access = "nobody"
    assert _workspaces(open_client(None)) == ["Default Workspace"]


def test_every_page_is_read(client: AirbyteClient, fake: Fake) -> None:
    names = {"Default Workspace"} | {
        fake.add_workspace(f"number {number}") and f"number {number}" for number in range(250)
    }
    assert set(_workspaces(client)) == names
    assert len(fake.asked("GET", "/workspaces")) == 4


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_question_is_asked_again_until_it_is_answered(
    open_client: OpenClient, fake: Fake, time: Time, fault: Answer | Silence
) -> None:
    client = open_client(answer=0.2)
    fake.fail("GET", "/workspaces", fault, times=3)
    assert _workspaces(client) == ["Default Workspace"]
    assert time.slept == [0.5, 1.0, 2.0]


def test_the_request_for_a_token_is_repeated_too(client: AirbyteClient, fake: Fake) -> None:
    fake.fail("POST", "/applications/token", server_error(), times=2)
    assert _workspaces(client) == ["Default Workspace"]


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_fault_that_stays_is_one_error(open_client: OpenClient, fake: Fake, fault: Answer | Silence) -> None:
    client = open_client(answer=0.05)
    fake.fail("GET", "/workspaces", fault, times=99)
    with pytest.raises(AirbyteUnreachableError):
        _workspaces(client)
    assert len(fake.asked("GET", "/workspaces")) == client.backoff.attempts


def test_no_server_is_one_error(open_client: OpenClient) -> None:
    client = AirbyteClient(address("http://127.0.0.1:1"), clock=open_client().clock)
    with client, pytest.raises(AirbyteUnreachableError, match="DVD_RENTAL_AIRBYTE_URL"):
        client.get("/workspaces")


def test_the_server_is_waited_for_as_long_as_it_asks(client: AirbyteClient, fake: Fake, time: Time) -> None:
    fake.fail("GET", "/workspaces", Answer(429, {"message": "You are being rate limited."}, {"Retry-After": "42"}))
    _workspaces(client)
    assert time.slept == [42.0]


def test_a_date_that_is_over_is_not_waited_for(client: AirbyteClient, fake: Fake, time: Time) -> None:
    headers = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    fake.fail("GET", "/workspaces", Answer(429, {"message": "You are being rate limited."}, headers))
    _workspaces(client)
    assert time.slept == [0.5]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(client: AirbyteClient, fake: Fake, time: Time) -> None:
    fake.fail("GET", "/workspaces", Answer(429, {"message": "You are being rate limited."}, {"Retry-After": "3600"}))
    with pytest.raises(AirbyteUnreachableError, match="rate limited"):
        _workspaces(client)
    assert time.slept == []


@pytest.mark.parametrize("fault", DONE.values(), ids=DONE)
def test_what_was_made_before_its_answer_was_lost_is_found_and_not_made_again(
    open_client: OpenClient, fake: Fake, fault: Answer | Silence
) -> None:
    fake.fail("POST", "/sources", fault)
    made = _make_source(open_client(answer=0.2), fake)
    assert made["sourceId"] in fake.rows["sources"]
    assert len(fake.asked("POST", "/sources")) == 1


@pytest.mark.parametrize("fault", NOT_DONE.values(), ids=NOT_DONE)
def test_what_was_not_made_is_made_after_a_look(client: AirbyteClient, fake: Fake, fault: Answer | Silence) -> None:
    fake.fail("POST", "/sources", fault, times=2)
    _make_source(client, fake)
    assert len(fake.rows["sources"]) == 1
    looks = 0 if isinstance(fault, Answer) and fault.status == 429 else 2
    assert len(fake.asked("GET", "/sources")) == looks


@pytest.mark.parametrize("slow", [False, True])
def test_what_the_server_may_still_work_on_is_not_asked_for_again(
    open_client: OpenClient, fake: Fake, slow: bool
) -> None:
    fake.fail("POST", "/sources", Silence(ends=slow))
    with pytest.raises(AirbyteUncertainError, match="dvd-rental airbyte plan"):
        _make_source(open_client(answer=0.2), fake, slow=slow)
    assert len(fake.asked("POST", "/sources")) == 1
    assert len(fake.asked("GET", "/sources")) > 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, AirbyteRefusedError), (403, AirbyteAccessError), (404, AirbyteNotFoundError), (409, AirbyteConflictError),
     (422, AirbyteRefusedError)],
)  # fmt: skip
def test_a_problem_is_told_in_the_server_s_words(
    client: AirbyteClient, fake: Fake, status: int, kind: type[AirbyteError]
) -> None:
    problem = {
        "status": status, "type": "x", "title": "some-title", "detail": "Some detail.",
        "data": {"message": "the database is on fire"},
    }  # fmt: skip
    fake.fail("GET", "/workspaces", Answer(status, problem))
    with pytest.raises(kind, match=r"some-title: Some detail\.: the database is on fire"):
        _workspaces(client)
    assert len(fake.asked("GET", "/workspaces")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, "<html>Airbyte</html>", checked=False),
        Answer(200, [], checked=False),
        Answer(200, {"rows": []}, checked=False),
        Answer(301, None, {"Location": "https://elsewhere.example/"}, checked=False),
    ],
    ids=["page", "list", "other", "redirect"],
)
def test_what_is_not_the_api_is_named(client: AirbyteClient, fake: Fake, answer: Answer) -> None:
    fake.fail("GET", "/workspaces", answer)
    with pytest.raises(AirbyteAnswerError, match="DVD_RENTAL_AIRBYTE_URL"):
        _workspaces(client)


def test_no_secret_is_in_a_log_or_an_error(client: AirbyteClient, fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = {"status": 422, "type": "x", "title": "invalid", "detail": "not allowed: the-source-password"}
    fake.fail("POST", "/sources", Answer(500, {"message": "the-source-password"}, checked=False))
    fake.fail("POST", "/sources", Answer(422, echo))
    with pytest.raises(AirbyteRefusedError, match="not allowed") as caught:
        _make_source(client, fake)
    shown = f"{caught.value}{caught.value.__cause__}{caught.value.__context__}{caplog.text}"
    assert "HTTP Request" in shown
    for secret in ("the-source-password", CLIENT_SECRET, *fake.tokens):
        assert secret not in shown


@pytest.mark.parametrize(
    ("given", "public", "configuration"),
    [
        ("http://localhost:8000", "http://localhost:8000/api/public/v1", "http://localhost:8000/api/v1"),
        ("http://localhost:8000/", "http://localhost:8000/api/public/v1", "http://localhost:8000/api/v1"),
        ("https://a.example/air/api/public/v1/", "https://a.example/air/api/public/v1", "https://a.example/air/api/v1"),
        ("https://api.airbyte.com", "https://api.airbyte.com/v1", "https://cloud.airbyte.com/api/v1"),
        ("https://api.airbyte.com/v1", "https://api.airbyte.com/v1", "https://cloud.airbyte.com/api/v1"),
    ],
)
def test_a_host_is_enough_of_an_address(given: str, public: str, configuration: str) -> None:
    found = address(given)
    assert (found.public, found.configuration) == (public, configuration)
    assert found.is_cloud == ("airbyte.com" in given)


@pytest.mark.parametrize("given", ["localhost:8000", "ftp://host", "http://", "http://[", "http://me:word@host"])
def test_an_address_that_is_none_is_named_and_not_repeated(given: str) -> None:
    with pytest.raises(SettingsError, match="DVD_RENTAL_AIRBYTE_URL") as caught:
        address(given)
    assert "word@" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        AirbyteSettings(client_id="a"),
        AirbyteSettings(password=SecretStr("a")),
        AirbyteSettings(client_id="a", client_secret=SecretStr("b"), username="a", password=SecretStr("b")),
    ],
    ids=["no secret", "no name", "both"],
)
def test_credentials_that_are_half_set_or_set_twice_are_refused(settings: AirbyteSettings) -> None:
    with pytest.raises(SettingsError, match="DVD_RENTAL_AIRBYTE_"):
        credentials(settings)
