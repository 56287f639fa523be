"""A sync with nothing to do, and one with a hundred changes in small and in large tables: of new rows, and of old ones.

New rows are appended, and nothing is looked for; those that are there have to be found.
One process does all, as a service would that stays loaded; its first sync is not counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from bench.backlog import Corrections, Inserts
from bench.child import Sample
from bench.engine import EngineProcess
from bench.lab import Lab
from bench.result import Goal, Result, median

_CHANGES = 100
_SIZE = 10
_BACKLOGS: dict[str, Inserts | Corrections] = {
    f"{_CHANGES} inserts": Inserts(_CHANGES, _SIZE),
    f"{_CHANGES} updates and deletes": Corrections(_CHANGES, _SIZE),
}
_IDLE = Goal("seconds", 0.2)
_SLOWDOWN = Goal("slowdown", 1.3)


def measure(lab: Lab) -> Iterator[Result]:
    """One row for nothing, and for a hundred changes of each sort one at each scale."""
    samples = lab.sizes.rounds * lab.sizes.syncs
    with ExitStack() as stack:
        loaded = {scale: _Loaded(lab, scale, stack) for scale in lab.sizes.scales}
        smallest = loaded[lab.sizes.scales[0]]
        lab.say("idle: nothing to do")
        yield median("idle", "nothing to do", "engine", [smallest.sync() for _ in range(samples)], _IDLE)
        for what, backlog in _BACKLOGS.items():
            lab.say(f"idle: {what}")
            taken = [{scale: at.change_and_sync(backlog) for scale, at in loaded.items()} for _ in range(samples)]
            yield from _compared(what, taken)


def _compared(what: str, taken: Sequence[Mapping[int, Sample]]) -> Iterator[Result]:
    """The rows of the scales, each held against the first."""
    at_smallest, *others = (
        median("idle", f"{what}, scale {scale}", "engine", [sample[scale] for sample in taken]) for scale in taken[0]
    )
    yield at_smallest
    for other in others:
        slowdown = other.seconds / at_smallest.seconds if other.seconds and at_smallest.seconds else None
        yield replace(other, ratio=slowdown, goal=_SLOWDOWN)


class _Loaded:
    """A database of one scale, its warehouse, and a process that syncs the two."""

    def __init__(self, lab: Lab, scale: int, stack: ExitStack) -> None:
        self._source = stack.enter_context(lab.prepared(scale))
        folder = stack.enter_context(lab.scratch())
        self._slot = stack.enter_context(self._source.slot("engine"))
        self._warehouse = folder / "warehouse.duckdb"
        self._engine = stack.enter_context(EngineProcess(folder))
        self.sync()

    def sync(self) -> Sample:
        return self._engine.sync(self._source, self._warehouse, self._slot)

    def change_and_sync(self, backlog: Inserts | Corrections) -> Sample:
        backlog.write(self._source)
        self._source.end_of_log()
        return self.sync()
