"""From a commit at the source to the report that shows it, with sensor, daemon and queue as in ``dvd-rental ui``.

A payment of one cent is inserted, and the published monthly revenue is read until it is there. Then comes a pause of
random length, so that commits meet the daemons at any moment of their rounds.
"""

import math
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg
from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

from bench.lab import Lab
from bench.result import Goal, Result
from dvd_rental_dagster.automation.execution import open_instance
from dvd_rental_dagster.errors import DvdRentalError
from dvd_rental_dagster.publication import published_warehouse
from dvd_rental_dagster.settings import PROJECT_ROOT, Settings

_GOAL = Goal("seconds", 3, 10)
_LIMIT_SECONDS = 300
_PAUSE_SECONDS = 8.0
_ROLE_PASSWORD = secrets.token_hex(16)
_LOOK_SECONDS = 0.05
_REVENUE = "select sum(revenue) from reports.rpt_revenue_monthly"
_PAYMENT = """
    insert into payment (customer_id, staff_id, rental_id, amount, payment_date)
    select customer_id, staff_id, rental_id, 0.01, payment_date from payment order by payment_id desc limit 1
"""


def measure(lab: Lab) -> Iterator[Result]:
    """The median and the 95th percentile at each scale, and where the time of a run goes."""
    for scale in lab.sizes.scales:
        with lab.prepared(scale) as source, lab.scratch() as folder:
            settings = Settings(home=folder / "home")
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("DVD_RENTAL_")},
                "DVD_RENTAL_HOME": str(settings.home),
                "DVD_RENTAL_SOURCE_URL": source.url,
                "DVD_RENTAL_ROLE": "tick",
                "DVD_RENTAL_ROLE_PASSWORD": _ROLE_PASSWORD,
            }
            lab.say(f"loading and building scale {scale}")
            _cli(environment, "source", "prepare")
            _cli(environment, "run")
            with _ui(environment, folder / "ui.log"), psycopg.connect(source.url, autocommit=True) as connection:
                lab.say("the first tick, which starts what later ones find started")
                _tick(connection, settings)
                since = time.time()
                seconds = []
                pauses = random.Random(scale)  # noqa: S311  # nothing secret
                for number in range(lab.sizes.ticks):
                    time.sleep(pauses.uniform(0, _PAUSE_SECONDS))
                    seconds.append(_tick(connection, settings))
                    lab.say(f"tick {number + 1}: {seconds[-1]:.2f} s")
            yield from _results(scale, seconds, settings, since)


def _results(scale: int, seconds: list[float], settings: Settings, since: float) -> Iterator[Result]:
    def result(what: str, figure: float, goal: Goal | None = None) -> Result:
        return Result("tick", f"scale {scale}: {what}", "engine", seconds=figure, goal=goal)

    ranked = sorted(seconds)
    yield result("commit to report, median", statistics.median(ranked))
    yield result("commit to report, 95th percentile", ranked[math.ceil(len(ranked) * 0.95) - 1], _GOAL)
    yield result("commit to report, slowest", ranked[-1])
    with open_instance(settings) as instance:
        runs = [
            record
            for record in instance.get_run_records(RunsFilter(statuses=[DagsterRunStatus.SUCCESS]))
            if record.create_timestamp.timestamp() > since and "dvd_rental/lsn" in record.dagster_run.tags
        ]
        parts = [_parts(instance, record) for record in runs]
    for what in parts[0] if parts else ():
        yield result(what, statistics.median(part[what] for part in parts))


def _parts(instance: DagsterInstance, record: RunRecord) -> Mapping[str, float]:
    """Seconds of one run, by what they went to."""
    run_id = record.dagster_run.run_id
    steps = {step.step_key: step for step in instance.get_run_step_stats(run_id)}
    began, ended = record.start_time or 0.0, record.end_time or 0.0
    of_steps = {name: (step.end_time or 0.0) - (step.start_time or 0.0) for name, step in steps.items()}
    return {
        "of a run: queue and start": began - record.create_timestamp.timestamp(),
        **{f"of a run: step {name}": of_steps[name] for name in sorted(of_steps)},
        "of a run: Dagster's own": ended - began - sum(of_steps.values()),
    }


def _tick(connection: psycopg.Connection[tuple[object, ...]], settings: Settings) -> float:
    """Seconds from a commit to the report that shows it."""
    expected = _revenue(settings) + Decimal("0.01")
    connection.execute(_PAYMENT)
    committed = time.monotonic()
    while _revenue(settings) != expected:
        if time.monotonic() - committed > _LIMIT_SECONDS:
            raise DvdRentalError(f"A payment did not reach the report within {_LIMIT_SECONDS} seconds.")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - committed


def _revenue(settings: Settings) -> Decimal:
    with duckdb.connect(published_warehouse(settings), read_only=True) as warehouse:
        row = warehouse.execute(_REVENUE).fetchone()
    return Decimal(row[0]) if row else Decimal(0)


@contextmanager
def _ui(environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """Dagster's web server and daemon, with everything they start, for as long as the context lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "dvd-rental"), "ui", "--port", str(port)]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, env=environment, cwd=PROJECT_ROOT, stdout=output, stderr=output, start_new_session=True
        ) as running,
    ):
        try:
            yield
        finally:
            os.killpg(running.pid, signal.SIGINT)


def _cli(environment: Mapping[str, str], *arguments: str) -> None:
    command = [str(Path(sys.executable).parent / "dvd-rental"), *arguments]
    done = subprocess.run(command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DvdRentalError(f"dvd-rental {' '.join(arguments)} failed: {done.stdout}{done.stderr}")
