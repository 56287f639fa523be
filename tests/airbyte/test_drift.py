"""What a plan sees, and what an apply leaves, whatever happens in its middle."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from fake import Answer, Fake, Silence
from wishes import Provision, silent

from dvd_rental_dagster.airbyte.plan import Action
from dvd_rental_dagster.errors import (
    AirbyteRefusedError,
    AirbyteUncertainError,
    ProvisioningError,
)


def _configuration(fake: Fake, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = fake.only(kind, "dvd_rental")["configuration"]
    return found


def _change_host(fake: Fake) -> None:
    _configuration(fake, "sources")["host"] = "elsewhere.example"


def _change_slot(fake: Fake) -> None:
    _configuration(fake, "sources")["replication_method"]["replication_slot"] = "other_slot"


def _lose_the_password(fake: Fake) -> None:
    del _configuration(fake, "sources")["password"]


def _add_an_option(fake: Fake) -> None:
    _configuration(fake, "destinations")["jdbc_url_params"] = "token=not-to-be-shown"


def _change_a_mode(fake: Fake) -> None:
    fake.only("connections", "dvd_rental")["configurations"]["streams"][3]["syncMode"] = "full_refresh_overwrite"


def _drop_a_stream(fake: Fake) -> None:
    del fake.only("connections", "dvd_rental")["configurations"]["streams"][3]


def _pause(fake: Fake) -> None:
    fake.only("connections", "dvd_rental")["status"] = "inactive"


def _schedule(fake: Fake) -> None:
    schedule = {"scheduleType": "cron", "cronExpression": "0 0 * * * ?"}
    fake.only("connections", "dvd_rental")["schedule"] = schedule


DRIFTS = {
    "host": _change_host,
    "replication_method.replication_slot": _change_slot,
    "password": _lose_the_password,
    "jdbc_url_params": _add_an_option,
    "streams.public.city": _change_a_mode,
    "streams.public.city ": _drop_a_stream,
    "status": _pause,
    "schedule": _schedule,
}


@pytest.mark.parametrize(("field", "drift"), DRIFTS.items(), ids=DRIFTS)
def test_a_drift_is_shown_by_plan_and_mended_by_apply_alone(
    provision: Provision, fake: Fake, run: Callable[..., tuple[int, str]], field: str, drift: Callable[[Fake], None]
) -> None:
    provision().apply(silent)
    drift(fake)
    before, written = json.dumps(fake.rows), len(fake.writes)
    code, shown = run("plan", "--check")
    assert code == 1
    assert re.search(rf"^    [-+~] {re.escape(field.strip())}: ", shown, re.MULTILINE)
    assert "not-to-be-shown" not in shown
    assert "To create: 0. To change: 1." in shown
    assert (json.dumps(fake.rows), len(fake.writes)) == (before, written)
    provision().apply(silent)
    assert len(fake.writes) == written + 1
    assert provision().plan().is_empty


def test_the_streams_are_sent_only_where_they_differ(provision: Provision, fake: Fake) -> None:
    """With them the server looks into the source, for minutes."""
    provision().apply(silent)
    _pause(fake)
    provision().apply(silent)
    _change_a_mode(fake)
    provision().apply(silent)
    assert ["configurations" in body for _, _, body in fake.asked("PATCH")] == [False, True]


def test_an_older_server_that_tells_no_namespaces_is_as_wanted(provision: Provision, fake: Fake) -> None:
    provision().apply(silent)
    for connection in fake.rows["connections"].values():
        for name in ("namespaceDefinition", "namespaceFormat", "prefix", "nonBreakingSchemaUpdatesBehavior"):
            del connection[name]
        for stream in connection["configurations"]["streams"]:
            del stream["namespace"]
    assert provision().plan().is_empty


def _read_the_log(fake: Fake) -> None:
    log = fake.only("sources", "dvd_rental")["configuration"]["replication_method"]
    fake.only("sources", "dvd_rental_full_refresh")["configuration"]["replication_method"] = log


def _append(fake: Fake) -> None:
    fake.only("connections", "dvd_rental_full_refresh")["configurations"]["streams"][0]["syncMode"] = (
        "full_refresh_append"
    )


def _write_over_raw(fake: Fake) -> None:
    fake.only("connections", "dvd_rental_full_refresh")["namespaceFormat"] = "raw"


def _put_before_the_names(fake: Fake) -> None:
    fake.only("connections", "dvd_rental_full_refresh")["prefix"] = "their_"


@pytest.mark.parametrize(
    ("field", "drift"),
    {
        "replication_method.method": _read_the_log,
        "streams.public.actor": _append,
        "namespaceFormat": _write_over_raw,
        "prefix": _put_before_the_names,
    }.items(),
)
def test_a_drift_of_the_full_refresh_is_shown_and_mended_too(
    provision: Provision, fake: Fake, run: Callable[..., tuple[int, str]], field: str, drift: Callable[[Fake], None]
) -> None:
    provision(full_refresh=True).apply(silent)
    drift(fake)
    code, shown = run("plan", "--check", full_refresh=True)
    assert code == 1
    assert re.search(rf"^    [-+~] {re.escape(field)}: ", shown, re.MULTILINE)
    assert "To create: 0. To change: 1." in shown
    provision(full_refresh=True).apply(silent)
    assert provision(full_refresh=True).plan().is_empty


@pytest.mark.parametrize("kind", ["sources", "destinations", "connections"])
@pytest.mark.parametrize("fault", ["reset", "reset after", "500", "500 after", "429", "401"])
def test_a_fault_in_the_middle_of_an_apply_makes_nothing_twice(
    provision: Provision, fake: Fake, kind: str, fault: str
) -> None:
    problem = {"errorId": "00000000-0000-0000-0000-000000000000"}
    after = fault.endswith("after")
    what: Answer | Silence = Silence(ends=True, after=after)
    if not fault.startswith("reset"):
        status = int(fault.split(maxsplit=1)[0])
        what = Answer(status, {"message": "rate limited"} if status == 429 else problem, after=after)
    fake.fail("POST", f"/{kind}", what)
    wanted = provision()
    if (kind, fault) == ("connections", "reset"):  # the server can still be at work on it
        with pytest.raises(AirbyteUncertainError):
            wanted.apply(silent)
        assert fake.rows["connections"] == {}
    wanted.apply(silent)
    assert {name: len(rows) for name, rows in fake.rows.items()} == {
        "workspaces": 1, "sources": 2, "destinations": 1, "connections": 2,
    }  # fmt: skip


def test_an_apply_that_failed_goes_on_where_it_stopped(provision: Provision, fake: Fake) -> None:
    problem = {"status": 400, "type": "x", "title": "bad-request", "data": {"message": "The slot is in use."}}
    fake.fail("POST", "/connections", Answer(400, problem))
    with pytest.raises(AirbyteRefusedError, match="The slot is in use"):
        provision().apply(silent)
    plan = provision().plan()
    assert (plan.count(Action.KEEP), plan.count(Action.CREATE)) == (3, 2)
    provision().apply(silent)
    assert provision().plan().is_empty


def test_a_server_that_forgets_what_it_took_is_an_error(provision: Provision, fake: Fake) -> None:
    provision().apply(silent)
    _change_host(fake)
    fake.deaf.add("sources")
    with pytest.raises(ProvisioningError, match="source dvd_rental: host"):
        provision().apply(silent)


def test_a_name_that_two_things_have_is_an_error(provision: Provision, fake: Fake) -> None:
    provision().apply(silent)
    fake.rows["sources"]["another"] = {
        **fake.only("sources", "dvd_rental"),
        "sourceId": "11111111-1111-1111-1111-111111111111",
    }
    with pytest.raises(ProvisioningError, match="2 sources called dvd_rental"):
        provision().plan()


def test_a_thing_of_another_type_is_not_taken_for_ours(provision: Provision, fake: Fake) -> None:
    provision().apply(silent)
    fake.only("sources", "dvd_rental")["sourceType"] = "mysql"
    with pytest.raises(ProvisioningError, match="mysql, not postgres"):
        provision().plan()


def test_a_connection_that_reads_something_else_is_not_taken_for_ours(provision: Provision, fake: Fake) -> None:
    provision().apply(silent)
    fake.only("connections", "dvd_rental")["sourceId"] = "11111111-1111-1111-1111-111111111111"
    with pytest.raises(ProvisioningError, match="connection dvd_rental"):
        provision().plan()


def test_a_workspace_has_to_be_named_where_there_are_several(provision: Provision, fake: Fake) -> None:
    second = fake.add_workspace("Second")
    with pytest.raises(ProvisioningError, match="DVD_RENTAL_AIRBYTE_WORKSPACE_ID"):
        provision()
    provision(workspace_id=second).apply(silent)
    assert {row["workspaceId"] for row in fake.rows["sources"].values()} == {second}


def test_secrets_are_written_again_only_when_that_is_asked_for(provision: Provision, fake: Fake) -> None:
    provision().apply(silent)
    _configuration(fake, "sources")["password"] = "an-old-password"
    assert provision().plan().is_empty
    provision().apply(silent, secrets=True)
    assert _configuration(fake, "sources")["password"] == "the-role-password"
    assert [method for method, _, _ in fake.writes[5:]] == ["PUT", "PUT", "PUT"]
