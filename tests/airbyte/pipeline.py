"""A home whose rows Airbyte moves: a fake server that reads the home's source and fills its warehouse."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from contract import Contract
from emulation import SECRET as SNOWFLAKES_PASSWORD
from fake import CLIENT_ID, CLIENT_SECRET, Fake
from fake_server import serve
from home import Home
from loader import Loader
from told import passwords

WAREHOUSE_PASSWORD = "the-warehouse-password"


@dataclass(frozen=True)
class Pipeline:
    """The home, and the server that it speaks to."""

    home: Home
    fake: Fake
    source_url: str

    def execute(self, statement: str) -> None:
        """Run the statement at the source."""
        with psycopg.connect(self.source_url) as source:
            source.execute(statement)

    def connection_id(self, name: str) -> str:
        return str(self.fake.only("connections", name)["connectionId"])

    @property
    def secrets(self) -> tuple[str, ...]:
        """What the server was told, and may stand in no log, event or file."""
        sources = self.fake.rows["sources"].values()
        return CLIENT_SECRET, WAREHOUSE_PASSWORD, *(source["configuration"]["password"] for source in sources)

    @property
    def all_secrets(self) -> tuple[str, ...]:
        """Those, what the server gave to get in with, and the passwords of the source and of Snowflake's account."""
        assert self.fake.tokens
        return *self.secrets, *self.fake.tokens, *passwords(self.home.path), SNOWFLAKES_PASSWORD


@contextmanager
def open_pipeline(
    folder: Path, contract: Contract, loader: Loader | None = None, **settings: str
) -> Iterator[Pipeline]:
    """A provisioned server, and a home with a filled source and no warehouse yet."""
    fake = Fake(contract)
    server, url = serve(fake)
    home = Home(
        folder / "home",
        {
            "DVD_RENTAL_ENGINE": "airbyte",
            "DVD_RENTAL_AIRBYTE_URL": url,
            "DVD_RENTAL_AIRBYTE_CLIENT_ID": CLIENT_ID,
            "DVD_RENTAL_AIRBYTE_CLIENT_SECRET": CLIENT_SECRET,
            "DVD_RENTAL_AIRBYTE_DESTINATION": "postgres",
            "DVD_RENTAL_AIRBYTE_POSTGRES_URL": f"postgresql://writer:{WAREHOUSE_PASSWORD}@warehouse.example/analytics",
            **settings,
        },
    )
    try:
        home.cli("source", "fill")
        home.cli("airbyte", "prepare")
        home.cli("airbyte", "apply")
        fake.move = (loader or Loader(folder, home.warehouse)).move
        yield Pipeline(home, fake, home.source_url)
        assert not fake.violations, fake.violations
    finally:
        server.shutdown()
        server.server_close()
        home.remove()
