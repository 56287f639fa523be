"""A backlog of changes into raw and history, against ``pg_recvlogical`` to nowhere.

Both read the same changes: through copies of one slot, made before the backlog and never read itself, from the place of
the log that the warehouse was loaded at, with the same publication and version of the protocol. The server counts what
it decodes for each slot, and the counts have to agree.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.backlog import Inserts, Mixed
from bench.child import Sample
from bench.engine import sync_once
from bench.lab import Lab
from bench.process import BenchError
from bench.result import Contestant, Goal, Result, race
from bench.source import Decoded, Source

_SCALE = 1
_GOAL = Goal("ratio", 0.6, least=0.4)


def measure(lab: Lab) -> Iterator[Result]:
    """Two rows for each kind of backlog."""
    changes = lab.sizes.changes
    backlogs: list[Inserts | Mixed] = [Inserts(changes, size) for size in lab.sizes.transactions]
    for backlog in (*backlogs, Mixed(changes)):
        with pending(lab, backlog) as race_course:
            lab.say(f"changes: {backlog}")
            yield from race(
                "changes",
                str(backlog),
                Contestant("engine", race_course.sync),
                [Contestant("pg_recvlogical", race_course.receive, _GOAL)],
                lab.sizes.rounds,
            )


@dataclass
class Pending:
    """A loaded warehouse and the changes that it lacks, which can be read again and again."""

    source: Source
    loaded: Path
    start_lsn: str
    end_lsn: str
    changes: int
    decoded: Decoded | None = None

    def sync(self) -> Sample:
        """Have the engine apply them to a copy of the warehouse, in a new process."""
        warehouse = self.loaded.with_name("warehouse.duckdb")
        shutil.copyfile(self.loaded, warehouse)
        with self.source.slot("engine") as slot:
            sample = sync_once(self.source, warehouse, slot)
            self._check(slot)
        if sample.rows != self.changes:
            raise BenchError(f"The engine applied {sample.rows:,} changes of {self.changes:,}: look for a fault in it.")
        return sample

    def receive(self) -> Sample:
        """Have ``pg_recvlogical`` read them."""
        with self.source.slot("yardstick") as slot:
            sample = self.source.receive(slot, self.start_lsn, self.end_lsn, self.changes)
            self._check(slot)
        return sample

    def _check(self, slot: str) -> None:
        """Make sure that everybody was sent the same."""
        decoded = self.source.decoded(slot)
        if self.decoded not in {None, decoded}:
            raise BenchError(
                f"The server decoded {decoded} for the slot {slot}, and {self.decoded} for the one before: "
                "they did not read the same changes, so their rates cannot be compared."
            )
        self.decoded = decoded


@contextmanager
def pending(lab: Lab, backlog: Inserts | Mixed) -> Iterator[Pending]:
    """Load a small database into a warehouse, then let changes wait in its log."""
    with lab.prepared(_SCALE) as source, lab.scratch() as folder:
        loaded = folder / "loaded.duckdb"
        with source.slot("engine") as slot:
            sync_once(source, loaded, slot)
        start_lsn = source.end_of_log()
        lab.say(f"writing a backlog: {backlog}")
        changes = backlog.write(source)
        yield Pending(source, loaded, start_lsn, source.end_of_log(), changes)
