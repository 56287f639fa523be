"""The engine's memory, by the length of the backlog, for changes of every kind, and for one large transaction."""

from collections.abc import Iterator

from bench.backlog import Inserts, Mixed
from bench.changes import pending
from bench.lab import Lab
from bench.result import Goal, Result, median

_GOAL = Goal("peak MB", 400)
_SIZE = 10


def measure(lab: Lab) -> Iterator[Result]:
    """A row for each length; one run tells enough."""
    largest = lab.sizes.changes
    backlogs: list[Inserts | Mixed] = [Inserts(changes, _SIZE) for changes in lab.sizes.memory]
    for backlog in (*backlogs, Mixed(largest), Inserts(largest, largest)):
        with pending(lab, backlog) as course:
            what = f"{backlog.changes:,} {backlog}"
            lab.say(f"memory: {what}")
            yield median("memory", what, "engine", [course.sync()], _GOAL)
