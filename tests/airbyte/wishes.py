"""Who the tests are to the fake, their clock, and the secrets in their settings."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fake import CLIENT_ID, CLIENT_SECRET
from pydantic import SecretStr

from dvd_rental_dagster.airbyte.authentication import Application
from dvd_rental_dagster.airbyte.client import AirbyteClient
from dvd_rental_dagster.airbyte.plan import Kind
from dvd_rental_dagster.airbyte.provisioning import Provisioning

URL = "postgresql://airbyte:the-role-password@10.0.0.5:5433/dvdrental?sslmode=require"
SECRETS = (
    "the-role-password", "the-tunnel-key-line-one", "the-snowflake-key-line-one", "the-passphrase",
    "the-warehouse-password", CLIENT_SECRET,
)  # fmt: skip
APPLICATION = Application(CLIENT_ID, SecretStr(CLIENT_SECRET))
OpenClient = Callable[..., AirbyteClient]
Provision = Callable[..., Provisioning]


@dataclass
class Time:
    """Passes only when somebody sleeps, or the test says so."""

    seconds: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def silent(kind: Kind, name: str, what: str) -> None:
    """Hear nothing."""
