"""A server that speaks Airbyte's public API, remembers what it was told, and fails when it is asked to.

Every request and every answer is held against the contract. What the contract does not say is done as Airbyte does it:
types are taken out of configurations and secrets masked, a cron expression is answered with its time zone, the last
page of a list is an empty one, and a second sync of a connection is refused.
"""

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from contract import PREFIX, Contract
from shapes import LIVE, all_known, page, shown, shown_job, status

from dvd_rental_dagster.catalog import STREAMS

CLIENT_ID = "3f1a"
CLIENT_SECRET = "the-client-secret"
LOCAL_JSON = "a625d593-bba5-4a1c-a53d-2d246268a816"
DEDUPED = "incremental_deduped_history"


Move = Callable[[int, dict[str, Any], dict[str, Any]], dict[str, tuple[int, int]]]
"""Moves rows by a connection from a source; rows and bytes by stream."""


@dataclass
class Answer:
    """A status with a body; ``after`` the work was done, or instead of it."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    checked: bool = True


@dataclass
class Silence:
    """No answer until the client goes, or the connection ends at once."""

    ends: bool
    after: bool = False


@dataclass
class _Fault:
    method: str
    path: str
    what: Answer | Silence
    times: int


class ProblemError(Exception):
    """An answer of the kind ``Problem``."""

    def __init__(self, status: int, title: str, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(
            status,
            {
                "status": status, "type": f"https://reference.airbyte.com/reference/errors#{title}", "title": title,
                "data": {"message": message},
            },
        )  # fmt: skip


class Fake:
    """What is on the server, what was asked of it, and what is to go wrong."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.access = "tokens"
        self.expires_in = 900
        self.tokens: list[str] = []
        self.good_tokens: set[str] = set()
        self.rows: dict[str, dict[str, dict[str, Any]]] = {
            kind: {} for kind in ("workspaces", "sources", "destinations", "connections")
        }
        self.jobs: list[dict[str, Any]] = []
        self.next_statuses = ["pending", "running", "succeeded"]
        self.next_counts: tuple[int | None, int | None] = (4096, 64)
        self.requests: list[tuple[str, str, Any]] = []
        self.violations: list[str] = []
        self.deaf: set[str] = set()
        self.move: Move | None = None
        self.looked_at: Callable[[], None] = lambda: None
        self._faults: list[_Fault] = []
        self._lock = threading.RLock()
        self.add_workspace("Default Workspace")

    def add_workspace(self, name: str) -> str:
        id_ = str(uuid.uuid4())
        row = {"workspaceId": id_, "name": name, "dataResidency": "auto", "notifications": {}}
        self.rows["workspaces"][id_] = row
        return id_

    def fail(self, method: str, path: str, what: Answer | Silence, times: int = 1) -> None:
        """Let the next requests of this kind end so; ``path`` is the beginning of theirs."""
        self._faults.append(_Fault(method, path, what, times))

    def heal(self) -> None:
        """Let nothing more go wrong."""
        self._faults.clear()

    def expire_tokens(self) -> None:
        self.good_tokens.clear()

    def asked(self, method: str, path: str = "/") -> list[tuple[str, str, Any]]:
        """The requests of this kind so far."""
        return [request for request in self.requests if request[0] == method and request[1].startswith(path)]

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        return [request for request in self.requests if request[0] != "GET" and "token" not in request[1]]

    def only(self, kind: str, name: str) -> dict[str, Any]:
        """The one row of this name; with its secrets."""
        (row,) = [row for row in self.rows[kind].values() if row["name"] == name]
        return row

    def add_job(self, connection_id: str, statuses: list[str], kind: str = "sync") -> int:
        """A job that somebody else started."""
        job = {
            "jobId": len(self.jobs) + 1, "connectionId": connection_id, "jobType": kind, "statuses": list(statuses),
            "counts": self.next_counts, "startTime": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        self.jobs.append(job)
        self._settle(job)
        return int(job["jobId"])

    def job(self, id_: int) -> dict[str, Any]:
        return self.jobs[id_ - 1]

    def finish(self, id_: int) -> None:
        """Let a job that goes on succeed."""
        job = self.job(id_)
        job["statuses"] = ["succeeded"]
        self._settle(job)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Answer | Silence:
        """What comes of a request."""
        with self._lock:
            url = urlsplit(target)
            path = url.path.removeprefix(PREFIX)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            self.requests.append((method, path, json.loads(body) if body else None))
            unknown = path == "/api/v1/jobs/get"
            if not unknown:  # to the contract
                scheme = headers.get("Authorization", "").partition(" ")[0]
                self.violations += self.contract.violations(method, path, tuple(sorted(query.items())), scheme, body)
            fault = self._fault(method, path)
            if fault is not None and not fault.after:
                return fault
            if path != "/applications/token" and not self._is_welcome(headers.get("Authorization")):
                return Answer(401, {"errorId": str(uuid.uuid4())})
            if unknown:
                return self._job_info(json.loads(body or b"{}")) if fault is None else fault
            try:
                done = self._route(method, path, query, json.loads(body) if body else {})
            except ProblemError as problem:
                done = problem.answer
            return done if fault is None else fault

    def check(self, method: str, path: str, answer: Answer, body: bytes) -> None:
        if answer.checked:
            self.violations += self.contract.answer_violations(method, path, answer.status, body)

    def _fault(self, method: str, path: str) -> Answer | Silence | None:
        for fault in self._faults:
            if fault.times and fault.method == method and path.startswith(fault.path):
                fault.times -= 1
                return fault.what
        return None

    def _is_welcome(self, header: str | None) -> bool:
        match self.access:
            case "tokens":
                return header is not None and header.removeprefix("Bearer ") in self.good_tokens
            case "nobody":
                return header is None
            case expected:
                return header == expected

    def _route(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Answer:
        kind, _, id_ = path.strip("/").partition("/")
        if path == "/applications/token":
            return self._token(body)
        if kind == "jobs":
            return self._jobs(method, int(id_) if id_ else None, query, body)
        rows = self.rows[kind]
        if not id_:
            if method == "GET":
                listed = [
                    row for row in rows.values() if query.get("workspaceIds", row["workspaceId"]) == row["workspaceId"]
                ]
                return Answer(200, page([shown(kind, row) for row in listed], query))
            return Answer(200, shown(kind, self._make(kind, body)))
        if id_ not in rows:
            raise ProblemError(404, "resource-not-found", f"Could not find {kind} {id_}")
        if method == "DELETE":
            del rows[id_]
            ends = (f"{kind[:-1]}Id", id_)
            for name, row in list(self.rows["connections"].items()):
                if ends in row.items():
                    del self.rows["connections"][name]
            return Answer(204)
        if method in {"PUT", "PATCH"} and kind not in self.deaf:
            rows[id_] = self._changed(kind, rows[id_], body)
        return Answer(200, shown(kind, rows[id_]))

    def _token(self, body: dict[str, Any]) -> Answer:
        if (body["client_id"], body["client_secret"]) != (CLIENT_ID, CLIENT_SECRET):
            return Answer(401, {"errorId": str(uuid.uuid4())})
        token = f"token-{uuid.uuid4()}"
        self.tokens.append(token)
        self.good_tokens.add(token)
        return Answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_in})

    def _make(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        id_ = str(uuid.uuid4())
        row = {f"{kind[:-1]}Id": id_, "createdAt": 1_760_000_000, **body}
        if kind == "connections":
            source = self.rows["sources"].get(body["sourceId"])
            if source is None or body["destinationId"] not in self.rows["destinations"]:
                raise ProblemError(404, "resource-not-found", "Could not find source or destination")
            row = {"tags": [], **row, "workspaceId": source["workspaceId"]}
        else:
            type_ = body["configuration"].get(f"{kind[:-1]}Type")
            if type_ is None and "definitionId" not in body:
                raise ProblemError(400, "bad-request", f"One of {kind[:-1]}Type or definitionId is needed")
            row[f"{kind[:-1]}Type"] = type_ or "destination-local-json"
            row.setdefault("definitionId", str(uuid.uuid5(uuid.NAMESPACE_DNS, str(type_))))
        self.rows[kind][id_] = row
        self.rows[kind][id_] = self._changed(kind, row, body)
        return self.rows[kind][id_]

    def _changed(self, kind: str, row: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        changed = {**row, **body}
        if kind == "connections":
            destination = self.rows["destinations"][row["destinationId"]]
            _check_streams(changed["configurations"]["streams"], destination)
        else:
            configuration = {
                name: value for name, value in changed["configuration"].items() if name != f"{kind[:-1]}Type"
            }
            changed["configuration"] = configuration
        return changed

    def _jobs(self, method: str, id_: int | None, query: dict[str, str], body: dict[str, Any]) -> Answer:
        if method == "POST":
            if any(job["connectionId"] == body["connectionId"] and status(job) in LIVE for job in self.jobs):
                raise ProblemError(409, "try-again-later", f"A sync is already running for: {body['connectionId']}")
            return Answer(
                200, shown_job(self.job(self.add_job(body["connectionId"], self.next_statuses, body["jobType"])))
            )
        if id_ is None:
            chosen = [
                job for job in self.jobs
                if job["connectionId"] == query["connectionId"] and job["jobType"] == query["jobType"]
            ]  # fmt: skip
            return Answer(200, page([shown_job(job) for job in chosen], query), checked=all_known(chosen))
        if not 0 < id_ <= len(self.jobs) or self.job(id_).get("vanished"):
            raise ProblemError(404, "resource-not-found", f"Could not find job {id_}")
        job = self.job(id_)
        if method == "DELETE":
            job["statuses"] = ["cancelled"]
        elif len(job["statuses"]) > 1:
            del job["statuses"][0]
            self._settle(job)
            self.looked_at()
        return Answer(200, shown_job(job), checked=all_known([job]))

    def _settle(self, job: dict[str, Any]) -> None:
        """Do the work of a job that has just become a success."""
        if self.move is not None and status(job) == "succeeded":
            connection = self.rows["connections"][job["connectionId"]]
            job["streams"] = self.move(job["jobId"], connection, self.rows["sources"][connection["sourceId"]])
            job["counts"] = tuple(map(sum, list(zip(*job["streams"].values(), strict=True))[::-1] or [(), ()]))

    def _job_info(self, body: dict[str, Any]) -> Answer:
        """What the configuration API says of a job, as far as it is read; the contract does not know it."""
        streams = [
            {
                "streamName": name,
                "streamNamespace": "public",
                "stats": {"recordsCommitted": rows, "bytesCommitted": size},
            }
            for name, (rows, size) in self.job(body["id"]).get("streams", {}).items()
        ]
        attempt = {"id": 0, "status": "succeeded", "streamStats": streams}
        return Answer(200, {"job": {"id": body["id"]}, "attempts": [{"attempt": attempt}]}, checked=False)


def _check_streams(streams: list[dict[str, Any]], destination: dict[str, Any]) -> None:
    known = {("public", stream.name) for stream in STREAMS}
    for stream in streams:
        if (stream["namespace"], stream["name"]) not in known:
            raise ProblemError(400, "bad-request", f"Invalid stream found: {stream['name']}")
        if stream["syncMode"] == DEDUPED and destination["definitionId"] == LOCAL_JSON:
            raise ProblemError(400, "bad-request", f"Cannot set sync mode to {DEDUPED} for stream {stream['name']}")


def server_error(*, after: bool = False) -> Answer:
    """The answer of a server that broke."""
    return Answer(500, {"errorId": str(uuid.uuid4())}, after=after)
