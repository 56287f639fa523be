"""The inside of a measured process: it answers requests, and tells its own peak of memory.

It runs in the environments of the peers too, and so needs nothing but the standard library.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One run: the rows moved, the seconds it took and the peak of the process's resident memory in bytes.

    ``peak_bytes`` is None for a process that is not ours to ask.
    """

    rows: int
    seconds: float
    peak_bytes: int | None = None

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


def timed(work: Callable[[], int]) -> Sample:
    """Run ``work``, which returns how many rows it moved."""
    started = time.perf_counter()
    rows = work()
    return Sample(rows, time.perf_counter() - started, peak_bytes())


def peak_bytes() -> int:
    """The most memory that was resident since this program began.

    On Linux ``getrusage`` counts the parent's memory at the fork, for ``exec`` keeps the maximum; ``VmHWM`` does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def serve(answer: Callable[[dict[str, Any]], Sample]) -> None:
    """Answer requests, a line of JSON each, until the input ends.

    What libraries print goes to standard error, so that standard output carries nothing but answers.
    """
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            answers.write(json.dumps(asdict(answer(json.loads(line)))) + "\n")
            answers.flush()
