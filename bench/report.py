"""The results as people and programs read them, with the machine and the versions they were found with."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.result import Result

_PACKAGES = ("duckdb", "psycopg", "adbc-driver-postgresql", "pyarrow")
_HEADINGS = ("measure", "what", "who", "rows", "seconds", "rows/s", "peak MB", "ratio", "goal", "verdict")
_NUMBERS = frozenset({"rows", "seconds", "rows/s", "peak MB", "ratio"})


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    models = [line.partition(":")[2].strip() for line in _lines(cpuinfo) if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@dataclass(frozen=True)
class Circumstances:
    """Where and with what the bench ran; ``load`` is the machine's load over a minute before it began."""

    rounds: int
    quick: bool
    load: float
    postgres: str
    peers: Sequence[str]
    python: str = field(default_factory=platform.python_version)
    packages: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in _PACKAGES})
    processor: str = field(default_factory=_processor)
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    memory_gigabytes: float = field(
        default_factory=lambda: round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    )

    def lines(self) -> list[str]:
        """Three lines for people."""
        packages = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        peers = f"; peers: {', '.join(self.peers)}" if self.peers else ""
        small = ", small sizes: the figures mean nothing" if self.quick else ""
        return [
            f"{self.processor}, {self.cores} cores, {self.memory_gigabytes} GB, load {self.load:.1f} at the start",
            f"Python {self.python}, PostgreSQL {self.postgres}, {packages}{peers}",
            f"medians of {self.rounds} {'rounds' if self.rounds > 1 else 'round'}{small}",
        ]


def render(results: Sequence[Result], circumstances: Circumstances, form: str) -> str:
    """The report as ``table``, ``markdown`` or ``json``."""
    if form == "json":
        return json.dumps(
            {"circumstances": vars(circumstances), "results": [_object(result) for result in results]}, indent=2
        )
    rows = [_HEADINGS, *(_cells(result) for result in results)]
    if form == "markdown":
        ruler = tuple("--:" if heading in _NUMBERS else "---" for heading in _HEADINGS)
        table = [f"| {' | '.join(row)} |" for row in [rows[0], ruler, *rows[1:]]]
        return "\n".join([*(f"- {line}" for line in circumstances.lines()), "", *table])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(
            cell.rjust(width) if heading in _NUMBERS else cell.ljust(width)
            for cell, width, heading in zip(row, widths, _HEADINGS, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*circumstances.lines(), "", *table])


def _cells(result: Result) -> tuple[str, ...]:
    return (
        result.measure,
        result.what,
        result.who,
        "" if result.rows is None else f"{result.rows:,}",
        "" if result.seconds is None else f"{result.seconds:.3f}",
        "" if result.rate is None else f"{result.rate:,.0f}",
        "" if result.peak_megabytes is None else f"{result.peak_megabytes:.0f}",
        "" if result.ratio is None else f"{result.ratio:.2f}",
        str(result.goal or ""),
        (result.skipped and f"skipped: {result.skipped}") or result.verdict,
    )


def _object(result: Result) -> dict[str, Any]:
    return {
        "measure": result.measure,
        "what": result.what,
        "who": result.who,
        "rows": result.rows,
        "seconds": result.seconds,
        "rate": result.rate,
        "peak_bytes": result.peak_bytes,
        "ratio": result.ratio,
        "goal": str(result.goal) if result.goal else None,
        "verdict": result.verdict or None,
        "skipped": result.skipped or None,
    }
