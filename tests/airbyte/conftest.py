"""A fake Airbyte on a port, and a client whose clock is the test's."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from contract import Contract
from dagster import DagsterInstance
from fake import CLIENT_ID, CLIENT_SECRET, Fake
from fake_server import serve
from home import load_graph
from pipeline import Pipeline, open_pipeline
from pydantic import SecretStr
from typer.testing import CliRunner
from wishes import APPLICATION, URL, OpenClient, Provision, Time

from dvd_rental_dagster import airbyte_cli
from dvd_rental_dagster.airbyte.address import address
from dvd_rental_dagster.airbyte.authentication import Application, User
from dvd_rental_dagster.airbyte.client import AirbyteClient, Patience
from dvd_rental_dagster.airbyte.clock import Clock
from dvd_rental_dagster.airbyte.jobs import Waiting
from dvd_rental_dagster.airbyte.provisioning import Provisioning
from dvd_rental_dagster.airbyte.server import provisioning
from dvd_rental_dagster.automation.execution import open_instance
from dvd_rental_dagster.errors import DvdRentalError
from dvd_rental_dagster.settings import PROJECT_ROOT, AirbyteSettings, Settings


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


@pytest.fixture
def wanted_settings(settings: Settings, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of everything, whose destination and details the test chooses."""
    tunnel_key, snowflake_key = tmp_path / "tunnel.pem", tmp_path / "snowflake.p8"
    tunnel_key.write_text("-----BEGIN KEY-----\nthe-tunnel-key-line-one\n-----END KEY-----\n")
    snowflake_key.write_text("-----BEGIN KEY-----\nthe-snowflake-key-line-one\n-----END KEY-----\n")

    def make(**changes: Any) -> Settings:
        airbyte = {
            "client_id": CLIENT_ID, "client_secret": SecretStr(CLIENT_SECRET),
            "tunnel_host": "bastion.example", "tunnel_user": "ec2-user", "tunnel_key_path": tunnel_key,
            "postgres_url": SecretStr("postgresql://writer:the-warehouse-password@warehouse.example/analytics"),
            "snowflake_user": "LOADER", "snowflake_private_key_path": snowflake_key,
            "snowflake_private_key_passphrase": SecretStr("the-passphrase"),
        }  # fmt: skip
        update = {
            "source_url": SecretStr(URL), "airbyte": AirbyteSettings(**(airbyte | changes)),
            "snowflake_account": "org-account",
        }  # fmt: skip
        return settings.model_copy(update=update)

    return make


@pytest.fixture
def provision(client: AirbyteClient, wanted_settings: Callable[..., Settings]) -> Provision:
    """What the settings ask for, on the fake; a keyword is a setting of Airbyte's."""

    def make(**changes: Any) -> Provisioning:
        return provisioning(client, wanted_settings(**changes), URL)

    return make


@pytest.fixture
def run(
    wanted_settings: Callable[..., Settings], url: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs ``dvd-rental airbyte``; its exit code and all that it printed."""

    def run(*arguments: str, entered: str | None = None, **changes: Any) -> tuple[int, str]:
        chosen = wanted_settings(url=url, **changes)
        monkeypatch.setattr(airbyte_cli, "load_settings", lambda: chosen)
        done = CliRunner().invoke(airbyte_cli.app, [*arguments], input=entered)
        assert done.exception is None or isinstance(done.exception, SystemExit | DvdRentalError), done.exception
        return done.exit_code, f"{done.output}{done.exception or ''}"

    return run


@pytest.fixture(scope="session")
def _provisioned(tmp_path_factory: pytest.TempPathFactory, contract: Contract) -> Iterator[Pipeline]:
    with open_pipeline(tmp_path_factory.mktemp("faults"), contract) as opened:
        yield opened


@pytest.fixture
def pipeline(_provisioned: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """One home and server, which this process's settings name; each test changes the source and runs the streams."""
    for name, value in (_provisioned.home.settings | {"DVD_RENTAL_HOME": str(_provisioned.home.path)}).items():
        monkeypatch.setenv(name, value)
    _provisioned.fake.next_statuses = ["succeeded"]
    monkeypatch.setattr(_provisioned.fake, "move", _provisioned.fake.move)
    load_graph()
    monkeypatch.setattr("dvd_rental_dagster.airbyte.loading.Waiting", partial(Waiting, first=0.01))
    return _provisioned


@pytest.fixture
def instance(pipeline: Pipeline) -> Iterator[DagsterInstance]:
    """Records in the home, where secrets are looked for."""
    with open_instance(Settings(_env_file=None, home=pipeline.home.path)) as opened:
        yield opened
