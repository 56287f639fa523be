"""What has to be done to the server, as data."""

from dataclasses import dataclass, field
from enum import StrEnum

from dvd_rental_dagster.airbyte.difference import Difference


class Kind(StrEnum):
    """What there is on a server, by the API's words."""

    SOURCE = "source"
    DESTINATION = "destination"
    CONNECTION = "connection"


class Action(StrEnum):
    """What becomes of a thing."""

    CREATE = "create"
    CHANGE = "change"
    KEEP = "keep"


@dataclass(frozen=True)
class Step:
    """One thing on the server: ``id`` is None while there is none."""

    kind: Kind
    name: str
    id: str | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def action(self) -> Action:
        """What is to be done."""
        if self.id is None:
            return Action.CREATE
        return Action.CHANGE if self.differences else Action.KEEP


@dataclass(frozen=True)
class Plan:
    """The steps in their order: what connections need comes first."""

    workspace_id: str
    steps: tuple[Step, ...] = field(default=())

    @property
    def is_empty(self) -> bool:
        """Whether the server is as wanted."""
        return all(step.action is Action.KEEP for step in self.steps)

    def count(self, action: Action) -> int:
        """How many steps are of this action."""
        return sum(step.action is action for step in self.steps)
