"""A fake Airbyte on a port, and a client whose clock is the test's."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from contract import Contract
from fake import CLIENT_ID, CLIENT_SECRET, Fake
from fake_server import serve
from pydantic import SecretStr

from dvd_rental_dagster.airbyte.address import address
from dvd_rental_dagster.airbyte.authentication import Application, User
from dvd_rental_dagster.airbyte.client import AirbyteClient, Patience
from dvd_rental_dagster.airbyte.clock import Clock
from dvd_rental_dagster.settings import PROJECT_ROOT

APPLICATION = Application(CLIENT_ID, SecretStr(CLIENT_SECRET))
OpenClient = Callable[..., AirbyteClient]


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


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The contract of the public API; what needs it is skipped where it is absent."""
    data = Path(os.environ.get("DVD_RENTAL_TEST_DATA", PROJECT_ROOT.parent / "shared" / "data"))
    path = data.parent / "airbyte" / "contract.yaml"
    if not path.exists():
        pytest.skip(f"{path.parent} has no contract.yaml")
    return Contract(path)


@pytest.fixture
def fake(contract: Contract) -> Iterator[Fake]:
    """A server without anything on it; afterwards neither side may have broken the contract."""
    fake = Fake(contract)
    yield fake
    assert fake.violations == []


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    """Where the fake answers."""
    server, url = serve(fake)
    yield url
    server.shutdown()
    server.server_close()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def open_client(url: str, time: Time) -> Iterator[OpenClient]:
    """Opens clients of the fake that never really wait, but for an answer that does not come."""
    opened: list[AirbyteClient] = []

    def open_client(who: Application | User | None = APPLICATION, **patience: float) -> AirbyteClient:
        clock = Clock(time.now, time.sleep, lambda: 1.0)
        opened.append(AirbyteClient(address(url), who, clock=clock, patience=Patience(**patience)))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()


@pytest.fixture
def client(open_client: OpenClient) -> AirbyteClient:
    return open_client()
