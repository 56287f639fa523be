"""What the server says when it refuses, in each of its forms, as one of our errors.

The public API answers a Problem (``title``, ``detail``, ``data.message``), ``{"errorId": …}`` or ``{"message": …}``; a
proxy before it answers with a page.
"""

import json
from typing import Any

import httpx

from dvd_rental_dagster.errors import (
    AirbyteAccessError,
    AirbyteAnswerError,
    AirbyteConflictError,
    AirbyteError,
    AirbyteNotFoundError,
    AirbyteRefusedError,
    AirbyteUnreachableError,
)

_LONGEST_WORDS = 1000
_ERRORS: dict[int, tuple[type[AirbyteError], str]] = {
    401: (
        AirbyteAccessError,
        "Set DVD_RENTAL_AIRBYTE_CLIENT_ID and DVD_RENTAL_AIRBYTE_CLIENT_SECRET; `abctl local credentials` shows them",
    ),
    403: (AirbyteAccessError, "Give the application's user the rights in the workspace, or use another application"),
    404: (AirbyteNotFoundError, "See what is there with dvd-rental airbyte plan"),
    409: (AirbyteConflictError, "Try again when the other work has ended"),
}
_REFUSED: tuple[type[AirbyteError], str] = (
    AirbyteRefusedError,
    "Mend what the server names, then try again",
)
_PASSING: tuple[type[AirbyteError], str] = (AirbyteUnreachableError, "Try again later, and look into the server's log")
_PASSING_STATUS = frozenset({408, 429})


def error_of(response: httpx.Response, request: str) -> AirbyteError:
    """The error that says what the server answered to ``request``, and what to do; it may hold what is secret."""
    status = response.status_code
    if httpx.codes.is_redirect(status):
        return AirbyteAnswerError(
            f"Airbyte answers {request} by {status}, sending on to {response.headers.get('Location', 'nowhere')}. "
            "Set DVD_RENTAL_AIRBYTE_URL to the address where the API itself is."
        )
    if status in _PASSING_STATUS or httpx.codes.is_server_error(status):
        kind, remedy = _PASSING
    else:
        kind, remedy = _ERRORS.get(status, _REFUSED)
    return kind(f"Airbyte answers {request} by {status}: {words(response)}. {remedy}.")


def words(response: httpx.Response) -> str:
    """What the answer says, in one line without a full stop."""
    text = _from_json(response) or response.text.strip() or response.reason_phrase or "nothing"
    return " ".join(text.split())[:_LONGEST_WORDS].rstrip(".")


def _from_json(response: httpx.Response) -> str:
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return ""
    if not isinstance(body, dict):
        return ""
    if "errorId" in body:
        return f"error {body['errorId']}, which the server's log explains"
    said = [body.get("title"), body.get("detail"), _message(body.get("data")), body.get("message")]
    return ": ".join(dict.fromkeys(str(part) for part in said if part))


def _message(data: Any) -> str | None:
    """The message within a Problem's ``data``, else the data."""
    if isinstance(data, dict):
        return str(data["message"]) if data.get("message") else json.dumps(data) if data else None
    return None
