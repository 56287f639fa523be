"""The command line: ``python -m bench``."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

import psycopg

from bench import changes, idle, memory, peers, snapshot, tick
from bench.lab import QUICK, Lab, Sizes, open_lab
from bench.report import Circumstances, render
from bench.result import Result
from dvd_rental_dagster.errors import DvdRentalError
from dvd_rental_dagster.settings import PROJECT_ROOT
from dvd_rental_dagster.source.cluster import SUPERUSER

MEASURES: Mapping[str, Callable[[Lab], Iterator[Result]]] = {
    "snapshot": snapshot.measure,
    "changes": changes.measure,
    "memory": memory.measure,
    "idle": idle.measure,
    "tick": tick.measure,
    "peers": peers.measure,
}
"""Every measure by its name; each takes the lab and yields rows of the table."""

_LONG = 10_000_000
_INTERRUPTED = 130
_EXAMPLES = """\
examples:
  python -m bench                                  everything
  python -m bench snapshot changes                 against COPY and pg_recvlogical only
  python -m bench peers                            against dlt and Debezium only
  python -m bench memory --long                    up to ten million changes
  python -m bench idle --scales 1 1000             a hundred changes at scale 1 and at scale 1000
  python -m bench --quick                          does it run? small sizes, whose figures mean nothing
  python -m bench --format markdown --output results.md
"""


def main() -> None:
    """Run the command line; an error of ours is one line and exit 1, an interruption exit 130."""
    arguments = _parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        report = _run(arguments)
    except DvdRentalError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; everything that was made is gone.\n")
        sys.exit(_INTERRUPTED)
    if arguments.output is None:
        sys.stdout.write(report + "\n")
    else:
        arguments.output.write_text(report + "\n")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End by way of every ``finally``; a second signal does not cut that short."""
    del number, frame
    for repeated in (signal.SIGINT, signal.SIGTERM):
        signal.signal(repeated, signal.SIG_IGN)
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    scales = " ".join(map(str, Sizes().scales))
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the embedded engine. bench/README.md explains the measures.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"{', '.join(MEASURES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--long", action="store_true", help="memory up to ten million changes")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"rounds of each measure; {Sizes().rounds} by default")
    parser.add_argument(
        "--scales", type=int, nargs="+", metavar="N", help=f"scales of idle and tick; {scales} by default"
    )
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the report goes, instead of standard output")
    parser.add_argument(
        "--environments",
        type=Path,
        metavar="FOLDER",
        default=PROJECT_ROOT / "build" / "bench",
        help="where the peers' environments are kept between runs; build/bench by default",
    )
    parser.add_argument("--no-install", action="store_true", help="skip peers whose environment is not there yet")
    return parser


def _run(arguments: argparse.Namespace) -> str:
    if unknown := sorted(set(arguments.measures) - set(MEASURES)):
        raise DvdRentalError(f"No measure is called {', '.join(unknown)}. The measures are {', '.join(MEASURES)}.")
    load = os.getloadavg()[0]
    sizes = _sizes(arguments)
    results = []
    with open_lab(sizes, arguments.environments, installs=not arguments.no_install) as lab:
        with psycopg.connect(lab.server.url("postgres", SUPERUSER, local=True)) as connection:
            postgres = connection.info.parameter_status("server_version") or ""
        for name in arguments.measures or MEASURES:
            for result in MEASURES[name](lab):
                lab.say(f"{name}: {result.what}, {result.who}: {_summary(result)}")
                results.append(result)
    circumstances = Circumstances(sizes.rounds, arguments.quick, load, postgres, peers.VERSIONS)
    return render(results, circumstances, arguments.format)


def _sizes(arguments: argparse.Namespace) -> Sizes:
    sizes = QUICK if arguments.quick else Sizes()
    if arguments.rounds is not None:
        sizes = replace(sizes, rounds=max(arguments.rounds, 1))
    if arguments.scales is not None:
        sizes = replace(sizes, scales=tuple(sorted(arguments.scales)))
    if arguments.long:
        sizes = replace(sizes, memory=(*sizes.memory, _LONG))
    return sizes


def _summary(result: Result) -> str:
    if result.skipped:
        return f"skipped, {result.skipped}"
    rate = f", {result.rate:,.0f} rows/s" if result.rate else ""
    return f"{result.seconds or 0:.3f} s{rate}"
