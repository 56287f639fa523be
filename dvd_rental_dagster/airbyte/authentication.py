"""Who we are to the server: an application (client id and secret), a user with a password, or nobody."""

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from dvd_rental_dagster.airbyte.answer import Token
from dvd_rental_dagster.airbyte.clock import Clock

_MARGIN_SECONDS = 60.0
_MARGIN_SHARE = 0.2
"""A token is renewed this long before it expires: seconds, or this share of a short life."""


@dataclass(frozen=True)
class Application:
    """The credentials of an application; tokens are had for them."""

    client_id: str
    client_secret: SecretStr


@dataclass(frozen=True)
class User:
    """Name and password, as self-managed servers before 0.64 and proxies want them."""

    username: str
    password: SecretStr


class Authentication(Protocol):
    """What proves who we are."""

    def header(self) -> str | None:
        """The value of ``Authorization``, if there is to be one."""

    def renew(self, refused: str | None) -> bool:
        """After the server refused this value: whether another can be had."""


class Fixed:
    """A header that stays as it is, or none."""

    def __init__(self, user: User | None) -> None:
        self._header = None
        if user is not None:
            pair = f"{user.username}:{user.password.get_secret_value()}"
            self._header = f"Basic {base64.b64encode(pair.encode()).decode()}"

    def header(self) -> str | None:
        """The user's name and password (RFC 7617), or None."""
        return self._header

    def renew(self, refused: str | None) -> bool:
        """Never: a password that was refused once is refused again."""
        del refused
        return False


class Bearer:
    """A token that is renewed before it expires, and when the server refuses it earlier."""

    def __init__(self, fetch: Callable[[], Token], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._header: str | None = None
        self._good_until = 0.0

    def header(self) -> str:
        """The token, a new one where the old is about to expire.

        Raises:
            AirbyteError: no token can be had.
        """
        with self._lock:
            if self._header is None or self._clock.now() >= self._good_until:
                asked_at = self._clock.now()
                token = self._fetch()
                margin = min(_MARGIN_SECONDS, token.expires_in * _MARGIN_SHARE)
                self._good_until = asked_at + token.expires_in - margin
                self._header = f"Bearer {token.access_token}"
            return self._header

    def renew(self, refused: str | None) -> bool:
        """Forget the token that was refused, unless another thread has replaced it already."""
        with self._lock:
            if self._header == refused:
                self._header = None
        return True
