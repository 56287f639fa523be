"""What the bench finds: figures, and the goals that they are held against."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.child import Sample

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Goal:
    """What a figure should be.

    ``best`` is aimed at and ``least`` still accepted; both are lower bounds for a ``ratio``, upper bounds for the rest.
    """

    of: Literal["ratio", "slowdown", "seconds", "peak MB"]
    best: float
    least: float | None = None

    def __str__(self) -> str:
        sign = "≥" if self.of == "ratio" else "≤"
        least = f", at least {self.least:g}" if self.least is not None else ""
        return f"{self.of} {sign} {self.best:g}{least}"

    def verdict(self, figure: float) -> str:
        """One word on a figure: ``reached``, ``accepted`` or ``missed``."""
        if self._holds(figure, self.best):
            return "reached"
        return "accepted" if self.least is not None and self._holds(figure, self.least) else "missed"

    def _holds(self, figure: float, bound: float) -> bool:
        return figure >= bound if self.of == "ratio" else figure <= bound


@dataclass(frozen=True)
class Result:
    """One row of the table: medians of the rounds.

    ``ratio`` is the engine's rate over that of ``who``; for a ``slowdown`` it is the seconds over those it is compared
    with. ``skipped`` says why there are no figures.
    """

    measure: str
    what: str
    who: str
    rows: int | None = None
    seconds: float | None = None
    peak_bytes: int | None = None
    ratio: float | None = None
    goal: Goal | None = None
    skipped: str = ""

    @property
    def rate(self) -> float | None:
        """Rows a second."""
        return self.rows / self.seconds if self.rows and self.seconds else None

    @property
    def peak_megabytes(self) -> float | None:
        """The peak of resident memory in millions of bytes."""
        return self.peak_bytes / MEGABYTE if self.peak_bytes is not None else None

    @property
    def verdict(self) -> str:
        """What the goal says of it; empty where there is none."""
        if self.goal is None:
            return ""
        figures = {"seconds": self.seconds, "peak MB": self.peak_megabytes}
        figure = figures.get(self.goal.of, self.ratio)
        return self.goal.verdict(figure) if figure is not None else ""


@dataclass(frozen=True)
class Contestant:
    """Who takes part in a race; ``goal`` is for the engine's ratio to it."""

    who: str
    run: Callable[[], Sample]
    goal: Goal | None = None


def race(measure: str, what: str, engine: Contestant, others: Sequence[Contestant], rounds: int) -> list[Result]:
    """Run all in turns, backwards in every other round, so that none always profits from what another left warm."""
    everybody = [engine, *others]
    samples: dict[str, list[Sample]] = {contestant.who: [] for contestant in everybody}
    for number in range(rounds):
        for contestant in reversed(everybody) if number % 2 else everybody:
            samples[contestant.who].append(contestant.run())
    results = [median(measure, what, contestant.who, samples[contestant.who]) for contestant in everybody]
    rate = results[0].rate
    return results[:1] + [
        Result(
            measure,
            what,
            result.who,
            result.rows,
            result.seconds,
            result.peak_bytes,
            ratio=rate / result.rate if rate and result.rate else None,
            goal=contestant.goal,
        )
        for contestant, result in zip(others, results[1:], strict=True)
    ]


def median(measure: str, what: str, who: str, samples: Sequence[Sample], goal: Goal | None = None) -> Result:
    """The rounds of one in one row; of the memory the highest peak."""
    peaks = [sample.peak_bytes for sample in samples if sample.peak_bytes is not None]
    return Result(
        measure,
        what,
        who,
        samples[0].rows,
        statistics.median(sample.seconds for sample in samples),
        max(peaks, default=None),
        goal=goal,
    )
