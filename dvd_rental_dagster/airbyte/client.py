"""A client of Airbyte's public API that bears what servers and networks do.

Whatever can be sent twice is: GET, PUT, PATCH and DELETE of the same thing end in the same state. A POST is sent again
only when it certainly did nothing, or after a look that did not find what it makes.
"""

import json
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self

import httpx

from dvd_rental_dagster.airbyte.address import Address
from dvd_rental_dagster.airbyte.answer import Token, read
from dvd_rental_dagster.airbyte.authentication import Application, Authentication, Bearer, Fixed, User
from dvd_rental_dagster.airbyte.clock import Clock
from dvd_rental_dagster.airbyte.problem import error_of
from dvd_rental_dagster.airbyte.retry import (
    UNAUTHORIZED,
    Backoff,
    Outcome,
    asked_seconds,
    is_passing,
    may_go_on,
    was_not_done,
)
from dvd_rental_dagster.airbyte.secrecy import Secrecy
from dvd_rental_dagster.errors import AirbyteAnswerError, AirbyteError, AirbyteUncertainError, AirbyteUnreachableError

_PAGE = 100
"""The most that the API gives at once."""

_LOOK_FIRST = "look with dvd-rental airbyte plan before making it again"

_log = logging.getLogger(__name__)


@cache
def _authorities() -> ssl.SSLContext:
    """Whose certificates are believed; read once, for that takes longer than many a request."""
    return httpx.create_ssl_context()


@dataclass(frozen=True)
class Patience:
    """Seconds: for a connection, for an answer, and for the answer to what makes the server look into the source."""

    connect: float = 10.0
    answer: float = 60.0
    discovery: float = 900.0


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] | None = None
    slow: bool = False
    anonymous: bool = False
    configuration: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class AirbyteClient:
    """The public API at one address. Secrets in a body are ``SecretStr``; no log and no error holds them."""

    def __init__(
        self,
        address: Address,
        who: Application | User | None = None,
        *,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.backoff = backoff or Backoff()
        self._address = address
        self._patience = patience or Patience()
        self._secrecy = Secrecy()
        self._http = httpx.Client(headers={"Accept": "application/json"}, verify=_authorities())
        self._authentication: Authentication
        if isinstance(who, Application):
            self._authentication = Bearer(lambda: self._token(who), self.clock)
        else:
            self._authentication = Fixed(who)
            if who is not None:
                self._secrecy.hide(who.password)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def keep_secret(self, value: Any) -> None:
        """Note every secret in the value, at any depth, before it is sent: the server may know it already."""
        self._secrecy.plain(value)

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The object at ``path``.

        Raises:
            AirbyteError: there is none, or none can be had.
        """
        return self._object(self._repeat(_Request("GET", path, parameters=parameters)), path)

    def pages(self, path: str, parameters: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Every object of a list, a page after the other; the last page is the empty one, or has no next.

        Raises:
            AirbyteError: the list cannot be had.
        """
        offset = 0
        while True:
            page = self.get(path, {**(parameters or {}), "limit": _PAGE, "offset": offset})
            rows = page.get("data")
            if not isinstance(rows, list):
                raise AirbyteAnswerError(
                    f"Airbyte answered GET {path} without a list. "
                    "Check that DVD_RENTAL_AIRBYTE_URL names the public API."
                )
            yield from rows
            if not rows or not page.get("next"):
                return
            offset += len(rows)

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace what is at ``path`` by ``body``.

        Raises:
            AirbyteError: it is not replaced, or that is not certain.
        """
        return self._object(self._repeat(_Request("PUT", path, body)), path)

    def patch(self, path: str, body: Mapping[str, Any], *, slow: bool = False) -> dict[str, Any]:
        """Change the fields in ``body`` of what is at ``path``; ``slow`` where the server looks into the source for it.

        Raises:
            AirbyteError: it is not changed, or that is not certain.
        """
        return self._object(self._repeat(_Request("PATCH", path, body, slow=slow)), path)

    def ask_configuration(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the configuration API answers, which reads by POST; asked once, for Airbyte promises it to nobody.

        Raises:
            AirbyteError: it does not answer, or not to us.
        """
        request = _Request("POST", path, body, configuration=True)
        outcome = self._attempt(request)
        if not isinstance(outcome, httpx.Response):
            raise self._error(outcome, request)
        return self._object(self._checked(outcome, request), path)

    def delete(self, path: str) -> None:
        """Delete what is at ``path``.

        Raises:
            AirbyteNotFoundError: there is nothing, maybe because an earlier attempt deleted it.
            AirbyteError: it is not deleted, or that is not certain.
        """
        self._repeat(_Request("DELETE", path))

    def create(
        self,
        path: str,
        body: Mapping[str, Any],
        look: Callable[[], dict[str, Any] | None],
        *,
        slow: bool = False,
        remedy: str = _LOOK_FIRST,
    ) -> dict[str, Any]:
        """Make something, once.

        Args:
            path: where to POST.
            body: what to make.
            look: finds what the request makes, None while it is not there; asked whenever an answer was lost.
            slow: the server looks into the source for it, which takes minutes.
            remedy: what to do when it stays uncertain whether it was made.

        Raises:
            AirbyteUncertainError: the server can still be at work on it, and it was not found in time.
            AirbyteError: it is not made.
        """
        request = _Request("POST", path, body, slow=slow)
        for attempt in range(self.backoff.attempts):
            outcome = self._attempt(request)
            if isinstance(outcome, httpx.Response) and not is_passing(outcome):
                return self._object(self._checked(outcome, request), path)
            going_on = may_go_on(outcome, slow=slow)
            for again in range(attempt, self.backoff.attempts if going_on else attempt + 1):
                self._wait(again, outcome, request)
                found = None if was_not_done(outcome) else look()
                if found is not None:
                    return found
            if going_on:
                break
        error = self._error(outcome, request)
        if was_not_done(outcome):
            raise error
        raise AirbyteUncertainError(f"{error} It may have been made all the same: {remedy}.")

    def _token(self, who: Application) -> Token:
        body = {"client_id": who.client_id, "client_secret": who.client_secret, "grant-type": "client_credentials"}
        request = _Request("POST", "/applications/token", body, anonymous=True)
        token = read(Token, self._object(self._repeat(request), request.path))
        self._secrecy.hide(token.access_token)
        return token

    def _repeat(self, request: _Request) -> httpx.Response:
        """The answer, after as many attempts as it takes and we have."""
        for attempt in range(self.backoff.attempts):
            outcome = self._attempt(request)
            if isinstance(outcome, httpx.Response) and not is_passing(outcome):
                return self._checked(outcome, request)
            if request.slow and isinstance(outcome, httpx.ReadTimeout):
                break  # the server has looked into the source for long enough
            if attempt + 1 < self.backoff.attempts:
                self._wait(attempt, outcome, request)
        raise self._error(outcome, request)

    def _attempt(self, request: _Request) -> Outcome:
        """Send it once, and a second time when the server refused a token that can be renewed."""
        if request.anonymous:
            return self._send(request, None)
        header = self._authentication.header()
        outcome = self._send(request, header)
        refused = isinstance(outcome, httpx.Response) and outcome.status_code == UNAUTHORIZED
        if refused and self._authentication.renew(header):
            return self._send(request, self._authentication.header())
        return outcome

    def _send(self, request: _Request, header: str | None) -> Outcome:
        body = None if request.body is None else self._secrecy.plain(dict(request.body))
        base = self._address.configuration if request.configuration else self._address.public
        patience = self._patience
        timeout = httpx.Timeout(patience.answer, connect=patience.connect)
        if request.slow:
            timeout = httpx.Timeout(patience.discovery, connect=patience.connect)
        try:
            return self._http.request(
                request.method,
                f"{base}{request.path}",
                params=request.parameters,
                json=body,
                headers={"Authorization": header} if header else None,
                timeout=timeout,
            )
        except httpx.RequestError as error:
            return error

    def _wait(self, attempt: int, outcome: Outcome, request: _Request) -> None:
        asked = asked_seconds(outcome) if isinstance(outcome, httpx.Response) else None
        if asked is not None and asked > self.backoff.most_asked:
            raise self._error(outcome, request)
        seconds = self.backoff.seconds(attempt, self.clock, asked)
        _log.warning("%s Waiting for %.1f s.", self._error(outcome, request), seconds)
        self.clock.sleep(seconds)

    def _checked(self, response: httpx.Response, request: _Request) -> httpx.Response:
        if not response.is_success:
            raise self._error(response, request)
        return response

    def _error(self, outcome: Outcome, request: _Request) -> AirbyteError:
        if isinstance(outcome, httpx.Response):
            error = error_of(outcome, str(request))
            return type(error)(self._secrecy.redact(str(error)))
        why = self._secrecy.redact(str(outcome)) or type(outcome).__name__
        return AirbyteUnreachableError(
            f"Airbyte at {self._address.public} does not answer {request}: {why}. "
            "Check DVD_RENTAL_AIRBYTE_URL, and that the server is up (`abctl local status`)."
        )

    def _object(self, response: httpx.Response, path: str) -> dict[str, Any]:
        try:
            body = response.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            body = None
        if not isinstance(body, dict):
            raise AirbyteAnswerError(
                f"What answers {path} at {self._address.public} speaks no JSON. Set DVD_RENTAL_AIRBYTE_URL to the "
                "public API's address, which ends in /api/public/v1 on a server of your own."
            )
        return body
