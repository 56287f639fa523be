"""The embedded engine: one sync after another, of the fifteen streams or some of them."""

from pathlib import Path
from typing import Any

from bench.child import Sample, serve, timed
from dvd_rental_dagster.catalog import STREAMS
from dvd_rental_dagster.replication import sync
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination


def _answer(request: dict[str, Any]) -> Sample:
    """Sync ``url`` into the file ``warehouse``: the ``streams``, all where none is named."""
    streams = [stream for stream in STREAMS if not request["streams"] or stream.name in request["streams"]]
    warehouse = DuckDBDestination(Path(request["warehouse"]))
    names = {"publication": request["publication"], "slot": request["slot"]}
    return timed(lambda: sync(request["url"], warehouse, streams, **names).rows)


if __name__ == "__main__":
    serve(_answer)
