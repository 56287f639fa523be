"""The contract, as the fake holds it: what breaks it does not pass."""

import json

import pytest
from contract import PREFIX, Contract
from fake import Answer, Fake, Silence, server_error

CONNECTION = "11111111-1111-1111-1111-111111111111"
RIGHT = {"connectionId": CONNECTION, "jobType": "sync"}
WRONG = {
    "foreign field": {**RIGHT, "jobTyp": "sync"},
    "missing field": {"connectionId": CONNECTION},
    "foreign value": {**RIGHT, "jobType": "syncs"},
}


def test_a_request_within_the_contract_passes(contract: Contract) -> None:
    assert contract.violations("POST", "/jobs", (), "Bearer", json.dumps(RIGHT).encode()) == []


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_request_that_breaks_the_contract_is_told(contract: Contract, body: dict[str, str]) -> None:
    assert contract.violations("POST", "/jobs", (), "Bearer", json.dumps(body).encode()) != []


def test_an_answer_that_breaks_the_contract_is_told(contract: Contract) -> None:
    job = {**RIGHT, "jobId": 1, "status": "hibernating", "startTime": "now"}
    assert contract.answer_violations("POST", "/jobs", 200, json.dumps(job).encode()) != []


@pytest.mark.parametrize("fault", [None, server_error(), server_error(after=True), Silence(ends=True)])
@pytest.mark.parametrize("welcome", [False, True])
def test_a_request_that_the_fake_turns_away_is_held_against_the_contract_too(
    contract: Contract, fault: Answer | Silence | None, welcome: bool
) -> None:
    fake = Fake(contract)
    fake.good_tokens = {"token"} if welcome else set()
    if fault is not None:
        fake.fail("POST", "/jobs", fault)
    body = json.dumps(WRONG["foreign field"]).encode()
    fake.answer("POST", f"{PREFIX}/jobs", {"Authorization": "Bearer token"}, body)
    assert fake.violations == ["POST /jobs: foreign field jobTyp"]
