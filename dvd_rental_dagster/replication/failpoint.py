"""Named moments of a sync at which it may die; tests make it happen, and nothing does otherwise."""

from collections.abc import Callable
from enum import Enum


class FailPoint(Enum):
    """Each stands between two steps of which the second must not be lost, nor the first done twice."""

    IN_SNAPSHOT = "in the snapshot"
    """A stream is loaded; others, or the commit of them all, are not."""
    AFTER_READ = "after a read"
    """Bytes of the log have come, and nothing was done with them."""
    IN_APPLY = "in the middle of a batch"
    """One of a stream's two tables has the changes, or the truncate."""
    BEFORE_COMMIT = "before a commit"
    """Everything is applied."""
    AFTER_COMMIT = "after a commit"
    """The warehouse has the changes, and the slot does not know yet."""
    IN_PUBLICATION = "in a publication"
    """Files for readers are complete and not in their place; or in it, which is not noted yet."""
    AFTER_ACKNOWLEDGE = "after an acknowledgement"
    """Feedback was sent, and the stream goes on or ends."""
    AT_SHUTDOWN = "at the shutdown"
    """The stream has ended; the warehouse's file is open still."""


def _go_on(_: FailPoint) -> None:
    """Do nothing."""


on_reach: Callable[[FailPoint], None] = _go_on
"""What happens where a failpoint is reached, on whichever thread reaches it."""


def reach(point: FailPoint) -> None:
    """Call where the failpoint lies."""
    on_reach(point)
