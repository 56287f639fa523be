"""Launches a run at once where nothing else waits or goes on (``run_coordinator`` in ``dagster.yaml``), else queues it.

Dagster's daemon looks at its queue once a second, and a run that has nothing to wait for would wait for that.
"""

from threading import Lock

from dagster import DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

from dvd_rental_dagster.automation.run_launcher import WarmRunLauncher

_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


# The daemon's schedules and sensors submit from threads of their own.
_submitting = Lock()


class PromptRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue, passed by in the process that runs are forked for: the daemon, from its first run on.

    A run that the web server queues in the milliseconds of a launch may be launched beside it; the second one waits for
    the warehouse, and says so when it waits in vain.
    """

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Launch or queue the run, and return it as it is then."""
        run = context.dagster_run
        with _submitting:
            if run.status is DagsterRunStatus.NOT_STARTED and self._is_warm and not self._any_unfinished():
                return self._instance.launch_run(run.run_id, context.workspace)
            return super().submit_run(context)

    @property
    def _is_warm(self) -> bool:
        launcher = self._instance.run_launcher
        return isinstance(launcher, WarmRunLauncher) and launcher.is_warm

    def _any_unfinished(self) -> bool:
        return bool(self._instance.get_run_ids(RunsFilter(statuses=_UNFINISHED), limit=1))
