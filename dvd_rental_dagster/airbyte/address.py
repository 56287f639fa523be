"""Where the API is: what a person knows of a server, made into the addresses of its two interfaces."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from dvd_rental_dagster.errors import SettingsError

_CLOUD = "api.airbyte.com"
_PUBLIC = "/api/public/v1"


@dataclass(frozen=True)
class Address:
    """The base of the public API and that of the configuration API, each without a slash at its end."""

    public: str
    configuration: str

    @property
    def is_cloud(self) -> bool:
        """Whether this is Airbyte Cloud."""
        return urlsplit(self.public).hostname == _CLOUD


def address(url: str) -> Address:
    """The API's addresses for a host, ``http://localhost:8000``, or for the public API's own base.

    Raises:
        SettingsError: it is no address, or holds a password.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(
            "DVD_RENTAL_AIRBYTE_URL is no server's address. Set it to http://localhost:8000 for abctl, "
            f"https://{_CLOUD} for Cloud, or the public API's base."
        )
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            "DVD_RENTAL_AIRBYTE_URL holds a user's name or password. Set DVD_RENTAL_AIRBYTE_USERNAME and "
            "DVD_RENTAL_AIRBYTE_PASSWORD instead."
        )
    root = f"{parts.scheme}://{parts.netloc}"
    path = parts.path.rstrip("/")
    if parts.hostname == _CLOUD:
        return Address(public=f"{root}{path or '/v1'}", configuration="https://cloud.airbyte.com/api/v1")
    if not path:
        path = _PUBLIC
    return Address(public=f"{root}{path}", configuration=f"{root}{path.removesuffix(_PUBLIC)}/api/v1")
