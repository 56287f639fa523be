"""What a batch of changes leaves of each key: its last version, and whether the key may have been there before."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dvd_rental_dagster.replication.rows import Changes, Mask, Operation


def last_versions(changes: Changes, key: Sequence[str]) -> tuple[Mask, Mask]:
    """The last change of each key, and those of them whose key the destination may hold; one entry a change.

    A key that begins with an insert is new: no two rows have it at a time, for its index is checked at once.
    Keys are compared as the server wrote them, and it writes the stored value of a row in every change of it.
    """
    _, first, number = np.unique(_codes(changes, key), return_index=True, return_inverse=True)
    last = np.empty(len(first), dtype=np.int64)
    last[number] = np.arange(len(changes))
    is_last, is_held = np.zeros((2, len(changes)), dtype=np.bool_)
    is_last[last] = True
    is_held[last[changes.operation[first] != Operation.INSERT]] = True
    return is_last, is_held


def _codes(changes: Changes, key: Sequence[str]) -> npt.NDArray[np.int64]:
    """A number a change, equal where the keys are."""
    first, *others = (changes.columns[name].dictionary_encode() for name in key)
    codes: npt.NDArray[np.int64] = first.indices.to_numpy().astype(np.int64)
    for values in others:  # numbered anew each time, so that a product of many columns does not overflow
        codes = np.unique(codes * len(values.dictionary) + values.indices.to_numpy(), return_inverse=True)[1]
    return codes
