"""The contract, as the fake holds it: what breaks it does not pass."""

import json

import pytest
from contract import Contract

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
