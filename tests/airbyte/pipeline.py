"""A home whose rows Airbyte moves: a fake server that reads the home's source and fills its warehouse."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from contract import Contract
from fake import CLIENT_ID, CLIENT_SECRET, Fake
from fake_server import serve
from home import Home
from loader import Loader

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
        """What may stand in no log, event or file."""
        sources = self.fake.rows["sources"].values()
        return CLIENT_SECRET, WAREHOUSE_PASSWORD, *(source["configuration"]["password"] for source in sources)


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
