"""The whole graph in this process, recorded where Dagster's UI looks."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dagster import DagsterEvent, DagsterInstance, execute_job
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository

from dvd_rental_dagster import errors
from dvd_rental_dagster.automation.run_launcher import PID_TAG
from dvd_rental_dagster.automation.turn import own_turn
from dvd_rental_dagster.settings import PROJECT_ROOT, Settings
from dvd_rental_dagster.transformation.project import check_streams
from dvd_rental_dagster.warehouse import check_models

_OURS = frozenset(name for name, kind in vars(errors).items() if isinstance(kind, type))
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class RunSummary:
    """What a run did; the failures are one line each."""

    run_id: str
    success: bool
    materialized: tuple[str, ...]
    checks_passed: int
    checks_failed: int
    failures: tuple[str, ...]


def dagster_home(settings: Settings) -> str:
    """Make Dagster's folder with the project's ``dagster.yaml`` and where the events are logged; return its path."""
    folder = settings.dagster_path
    folder.mkdir(parents=True, exist_ok=True)
    event_log = {
        "module": "dvd_rental_dagster.automation.event_log",
        "class": "OpenEventLogStorage",
        "config": {"base_dir": str(folder / "history" / "runs")},
    }
    common = (PROJECT_ROOT / "dagster.yaml").read_text()
    (folder / "dagster.yaml").write_text(f"{common}\nevent_log_storage: {json.dumps(event_log)}\n")
    return str(folder)


@contextmanager
def open_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """Dagster's records of this home."""
    with DagsterInstance.from_config(dagster_home(settings)) as instance:
        yield instance


def load_job() -> ReconstructableJob:
    """The job ``everything``, with the graph loaded."""
    repository = ReconstructableRepository.for_module("dvd_rental_dagster.definitions", "defs", str(PROJECT_ROOT))
    job = repository.get_reconstructable_job("everything")
    job.get_definition()
    return job


def execute_everything(settings: Settings, *, wait_seconds: float = 600) -> RunSummary:
    """Run the job ``everything`` and wait for its end; a run that goes on is waited for that long.

    Raises:
        GraphError: the catalog lacks what the models read.
        RunBusyError: another run still goes on after ``wait_seconds``.
        SettingsError: the models do not run on the warehouse.
    """
    check_models(settings)
    check_streams(settings)
    job = load_job()
    with (
        open_instance(settings) as instance,
        own_turn(instance, settings.dagster_path, wait_seconds),
        execute_job(job, instance=instance, run_config=_QUIET, tags={PID_TAG: str(os.getpid())}) as result,
    ):
        evaluations = result.get_asset_check_evaluations()
        return RunSummary(
            result.run_id,
            result.success,
            tuple(
                event.asset_key.to_user_string()
                for event in result.get_asset_materialization_events()
                if event.asset_key
            ),
            sum(evaluation.passed for evaluation in evaluations),
            sum(not evaluation.passed for evaluation in evaluations),
            tuple(_reason(event) for event in result.get_step_failure_events()),
        )


def _reason(failure: DagsterEvent) -> str:
    """The message of the error that caused a step's failure: ours, which names the remedy, else the first of all."""
    error = failure.step_failure_data.error
    while error is not None and error.cause is not None and error.cls_name not in _OURS:
        error = error.cause
    return error.message.strip() if error is not None else failure.message or "a step failed"
