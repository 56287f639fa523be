"""dlt: a full load of one table into DuckDB with its source ``sql_database``."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dlt
from dlt.sources.sql_database import sql_table

from bench.child import Sample, serve, timed


def _answer(request: dict[str, Any]) -> Sample:
    """Load ``table`` of ``url`` by ``backend``: ``pyarrow`` or ``connectorx``; whatever else is as dlt has it."""
    with TemporaryDirectory(dir=request["folder"]) as folder:
        pipeline = dlt.pipeline(
            "bench",
            pipelines_dir=folder,
            destination=dlt.destinations.duckdb(str(Path(folder) / "warehouse.duckdb")),
            dataset_name="raw",
        )
        table = sql_table(request["url"], table=request["table"], schema="public", backend=request["backend"])

        def load() -> int:
            pipeline.run(table, write_disposition="replace")
            rows: int = pipeline.last_trace.last_normalize_info.row_counts[request["table"]]
            return rows

        return timed(load)


if __name__ == "__main__":
    serve(_answer)
