"""A full load of the payments into raw and history, against ``COPY`` to nowhere."""

from collections.abc import Iterator
from pathlib import Path

from bench.child import Sample
from bench.engine import sync_once
from bench.lab import Lab
from bench.result import Contestant, Goal, Result, race
from bench.source import Source

TABLE = "payment"
_GOAL = Goal("ratio", 1.0, least=0.5)


def measure(lab: Lab) -> Iterator[Result]:
    """One row for the engine and one for ``COPY``."""
    with lab.prepared(lab.sizes.table_scale) as source, lab.scratch() as folder:
        rows = source.rows(TABLE)
        lab.say(f"snapshot: {rows:,} payments")
        yield from race(
            "snapshot",
            "payments",
            Contestant("engine", lambda: load(source, folder)),
            [Contestant("COPY (format binary)", lambda: source.copy(TABLE, rows), _GOAL)],
            lab.sizes.rounds,
        )


def load(source: Source, folder: Path) -> Sample:
    """Have the engine load the payments into a new warehouse."""
    warehouse = folder / "warehouse.duckdb"
    warehouse.unlink(missing_ok=True)
    with source.slot("engine") as slot:
        return sync_once(source, warehouse, slot, streams=(TABLE,))
