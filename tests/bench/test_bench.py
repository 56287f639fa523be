"""The benchmark runs; what it finds is not judged here."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.child import Sample
from bench.report import Circumstances, render
from bench.result import Contestant, Goal, Result, race
from dvd_rental_dagster.settings import PROJECT_ROOT

pytestmark = pytest.mark.xdist_group("bench")


def bench(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A quick bench whose files are in ``folder``, and which finds no environment of a peer."""
    (folder / "temporary").mkdir()
    options = ["--quick", "--no-install", "--environments", str(folder / "environments")]
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *options, *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_every_measure_has_its_rows_and_nothing_is_left_behind(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    measures = ("snapshot", "changes", "memory", "idle", "peers")
    with bench(tmp_path, "--format", "json", "--output", str(report), *measures) as running:
        _, said = running.communicate()
    assert running.returncode == 0, said
    results = json.loads(report.read_text())["results"]
    inserts, mixed = "inserts, 10 a transaction", "inserts, updates and deletes, all 15 tables"
    assert {(result["measure"], result["what"], result["who"]) for result in results} == {
        *(("snapshot", "payments", who) for who in ("engine", "COPY (format binary)")),
        *(("changes", what, who) for what in (inserts, mixed) for who in ("engine", "pg_recvlogical")),
        *(("memory", f"6,000 {what}", "engine") for what in (mixed, "inserts, 6,000 a transaction")),
        ("idle", "nothing to do", "engine"),
        *(
            ("idle", f"100 {what}, scale {scale}", "engine")
            for what in ("inserts", "updates and deletes")
            for scale in (1, 2)
        ),
        *(("peers", "payments", who) for who in ("dlt, pyarrow", "dlt, connectorx", "Debezium")),
        *(("peers", what, "Debezium") for what in (inserts, mixed)),
    }
    skipped = {result["who"] for result in results if result["skipped"]}
    assert skipped == {"dlt, pyarrow", "dlt, connectorx", "Debezium"}
    assert all(result["skipped"] or result["seconds"] > 0 for result in results)
    assert all(result["peak_bytes"] > 0 for result in results if result["who"] == "engine")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    with bench(tmp_path, "changes") as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "writing a backlog" in line:
                break
        running.send_signal(signal.SIGTERM)
        running.communicate()
    assert running.returncode == 130
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_measure_of_another_name_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with bench(tmp_path, "speed") as running:
        _, said = running.communicate()
    assert running.returncode == 1
    assert said == "Error: No measure is called speed. The measures are snapshot, changes, memory, idle, tick, peers.\n"


def test_a_ratio_compares_medians_of_rounds_run_in_turns_and_back() -> None:
    turns: list[str] = []
    seconds = {"engine": iter((1.0, 2.0, 9.0)), "other": iter((4.0, 1.0, 5.0))}

    def run(who: str) -> Any:
        turns.append(who)
        return Sample(100, next(seconds[who]))

    contestants = {who: Contestant(who, lambda who=who: run(who), Goal("ratio", 3, least=2)) for who in seconds}
    engine, other = race("measure", "what", contestants["engine"], [contestants["other"]], 3)
    assert turns == ["engine", "other", "other", "engine", "engine", "other"]
    assert (engine.seconds, other.seconds, other.ratio, other.verdict) == (2.0, 4.0, 2.0, "accepted")


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_a_report_says_what_was_skipped_and_why(form: str) -> None:
    circumstances = Circumstances(rounds=3, quick=False, load=0.5, postgres="18.4", peers=("dlt 1",))
    report = render([Result("peers", "payments", "dlt", skipped="no uv")], circumstances, form)
    assert "skipped: no uv" in report
    assert "PostgreSQL 18.4" in report
