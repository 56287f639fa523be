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
    codes = _codes(changes, key)
    keys, first = np.unique(codes, return_index=True)
    last = np.empty(len(keys), dtype=np.int64)
    last[np.searchsorted(keys, codes)] = np.arange(len(codes))
    is_last, is_held = np.zeros((2, len(codes)), dtype=np.bool_)
    is_last[last] = True
    is_held[last[changes.operation[first] != Operation.INSERT]] = True
    return is_last, is_held


def _codes(changes: Changes, key: Sequence[str]) -> npt.NDArray[np.int64]:
    """A number a change, equal where the keys are."""
    codes = np.zeros(len(changes), dtype=np.int64)
    for name in key:
        values = changes.columns[name].dictionary_encode()
        codes = codes * len(values.dictionary) + values.indices.to_numpy()
        codes = np.unique(codes, return_inverse=True)[1]  # so that a product of many columns does not overflow
    return codes
