"""Launches runs by forking them from a process that has everything loaded (``run_launcher`` in ``dagster.yaml``).

Dagster's own launcher starts every run in a new process, which spends seconds on imports before the first row moves.
"""

import os
import signal
from collections.abc import Mapping
from typing import Any, Self

from dagster import DagsterRun
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._serdes import ConfigurableClass, serialize_value
from dagster._serdes.config_class import ConfigurableClassData

from dvd_rental_dagster.automation.warm_process import WarmProcess
from dvd_rental_dagster.process import is_alive

PID_TAG = "dvd_rental/pid"
"""Tag of a run: the id of its process on the machine that holds Dagster's records."""


class WarmRunLauncher(RunLauncher, ConfigurableClass):
    """Runs live on the machine of the daemon that launches them."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._warm = WarmProcess()
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """The entry of ``dagster.yaml``."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Make the launcher that ``dagster.yaml`` asks for."""
        return cls(inst_data)

    @property
    def is_warm(self) -> bool:
        """Whether the process that runs are forked from stands; the first run starts it."""
        return self._warm.is_started

    def launch_run(self, context: LaunchRunContext) -> None:
        """Fork the run, and note its process on it.

        Raises:
            GraphError: the process that runs are forked from does not start.
        """
        run_id = context.dagster_run.run_id
        pid = self._warm.fork_run(run_id, serialize_value(self._instance.get_ref()))
        self._instance.add_run_tags(run_id, {PID_TAG: str(pid)})

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run; false when it is not going on."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or not _runs(run):
            return False
        self._instance.report_run_canceling(run)
        os.kill(int(run.tags[PID_TAG]), signal.SIGINT)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """The daemon may ask, and closes a run whose process is gone."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process is there."""
        if PID_TAG not in run.tags:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "The run has not been forked yet.")
        if _runs(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"The process {run.tags[PID_TAG]} of this run is gone.")

    def dispose(self) -> None:
        """End the process that runs are forked from."""
        self._warm.close()


def _runs(run: DagsterRun) -> bool:
    return PID_TAG in run.tags and is_alive(int(run.tags[PID_TAG]))
