"""Changes cut where a destination has to land what came before to know a value that the log left out."""

from collections.abc import Iterator

import numpy as np

from dvd_rental_dagster.replication.rows import Changes


def resolvable_parts(changes: Changes) -> Iterator[tuple[Changes, bool]]:
    """Cut out each row that changed its key and left values out, with the delete of the old key before it.

    Such a pair is marked true: its values are those of the old key, and what comes before it must have landed by then.
    """
    left_out = np.zeros(len(changes), dtype=np.bool_)
    for mask in changes.unchanged.values():
        left_out |= mask
    start = 0
    for row in np.flatnonzero(left_out & changes.rekeyed):
        if start < row - 1:
            yield changes.slice(start, int(row) - 1), False
        yield changes.slice(int(row) - 1, int(row) + 1), True
        start = int(row) + 1
    if start == 0:
        yield changes, False
    elif start < len(changes):
        yield changes.slice(start, len(changes)), False
