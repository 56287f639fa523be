"""When a request is sent again, and how long to wait before."""

import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import httpx

from dvd_rental_dagster.airbyte.clock import Clock

UNAUTHORIZED = 401
_OUT_OF_TIME = frozenset({408, 502, 504})
"""The server, or a proxy before it, gave up waiting; the work can still go on."""
_REQUEST_TIMEOUT = 408
_RATE_LIMITED = 429
_SERVER_ERROR = 500
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True)
class Backoff:
    """Waits that double from ``first`` up to ``longest`` seconds, each shortened by chance to no less than its half."""

    attempts: int = 6
    first: float = 0.5
    longest: float = 30.0
    most_asked: float = 300.0
    """Seconds; a server that asks for more is not waited for."""

    def seconds(self, attempt: int, clock: Clock, asked: float | None = None) -> float:
        """How long to wait after this attempt, of which the first is 0; never less than the server asked for."""
        wait = min(self.first * 2.0**attempt, self.longest)
        return max(wait * (1 + clock.chance()) / 2, asked or 0.0)


Outcome: TypeAlias = httpx.Response | httpx.RequestError
"""An answer, or why there is none."""


def is_passing(response: httpx.Response) -> bool:
    """Whether the same request can succeed a little later."""
    return response.status_code in {_REQUEST_TIMEOUT, _RATE_LIMITED} or response.status_code >= _SERVER_ERROR


def was_not_done(outcome: Outcome) -> bool:
    """Whether the request certainly changed nothing: it never left, or the server turned it away at the door."""
    if isinstance(outcome, httpx.Response):
        return outcome.status_code == _RATE_LIMITED
    return isinstance(outcome, _NEVER_SENT)


def may_go_on(outcome: Outcome, *, slow: bool) -> bool:
    """Whether the server can still be at work on the request; on a slow one also when the connection broke."""
    if was_not_done(outcome):
        return False
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in _OUT_OF_TIME
    return slow or isinstance(outcome, httpx.TimeoutException)


def asked_seconds(response: httpx.Response) -> float | None:
    """The header ``Retry-After``, seconds or a date (RFC 9110, section 10.2.3), as seconds; None without one."""
    value: str = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max((aware - datetime.now(UTC)).total_seconds(), 0.0)
