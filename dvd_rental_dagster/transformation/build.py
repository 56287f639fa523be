"""``dbt build`` in this process: models and their tests, with what came of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.transformation.project import invoke

_RESULTS = frozenset({"LogModelResult", "LogTestResult"})
"""dbt's events that carry a node's place among all."""


class Status(StrEnum):
    """What became of a model or a test; the names are dbt's."""

    SUCCESS = "success"
    PASS = "pass"  # noqa: S105  # a test's outcome, no password
    FAIL = "fail"
    WARN = "warn"
    ERROR = "error"
    SKIPPED = "skipped"
    NO_OP = "no-op"
    PARTIAL_SUCCESS = "partial success"


@dataclass(frozen=True)
class NodeResult:
    """What came of one node: its id in the manifest, its duration in seconds, and dbt's message.

    ``failures`` is the number of rows that a test found at fault.
    """

    unique_id: str
    status: Status
    seconds: float
    message: str
    failures: int | None

    @property
    def name(self) -> str:
        """The node's name among those of its kind."""
        return self.unique_id.split(".")[2]

    @property
    def is_model(self) -> bool:
        """Whether the node is a table or view, not a test."""
        return self.unique_id.startswith("model.")

    @property
    def is_built(self) -> bool:
        """Whether the model stands."""
        return self.status is Status.SUCCESS


def build(
    settings: Settings, select: Sequence[str] = (), *, full_refresh: bool = False, progress: Progress = silent
) -> list[NodeResult]:
    """Build the selected models, all when none is named, with their tests; what depends on a failure is skipped.

    Unit tests, which look at the models' SQL and not at the rows, run when everything is built.

    Raises:
        GraphError: dbt could not run at all.
    """
    arguments = ["build", "--no-write-json"]
    if select:
        arguments += ["--select", *select, "--exclude-resource-type", "unit_test"]
    if full_refresh:
        arguments.append("--full-refresh")

    def hear(event: Any) -> None:
        if event.info.name in _RESULTS:
            is_test = event.info.name == "LogTestResult"
            what = "Testing the models" if is_test else f"Building {event.data.node_info.node_name}"
            progress(what, event.data.index, event.data.num_models if is_test else event.data.total)

    result = invoke(settings, arguments, hear)
    return [
        NodeResult(node.node.unique_id, Status(node.status), node.execution_time, node.message or "", node.failures)
        for node in result.results
    ]
