"""Infinite timestamps, put right after ADBC.

ADBC moves the server's microseconds from their epoch, 2000, to Arrow's, 1970, infinities as well (PostgreSQL
documentation, 8.5.1.4 "Special Values"). What leaves 64 bits on the way comes out before 4714 BC, where no timestamp
is.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dvd_rental_dagster.errors import StreamTableError
from dvd_rental_dagster.replication.pgoutput import POSTGRES_EPOCH_MICROSECONDS

_FIRST = -211_813_488_000_000_000 + POSTGRES_EPOCH_MICROSECONDS
_INT64 = np.iinfo(np.int64)
_MOVED_MINUS_INFINITY = int(_INT64.min) + POSTGRES_EPOCH_MICROSECONDS
_MOVED_INFINITY = _MOVED_MINUS_INFINITY - 1
INFINITY = int(_INT64.max)
"""Infinity as DuckDB has it, in the microseconds of its timestamps; minus infinity is the same, negated."""


def with_infinities(values: pa.Array, name: str) -> pa.Array:
    """The timestamps with infinities as DuckDB has them; the same array when there are none.

    Raises:
        StreamTableError: a timestamp lies beyond the year 294246, where 64 bits since 1970 end.
    """
    microseconds = values.view(pa.int64())
    smallest = pc.min(microseconds).as_py()
    if smallest is None or smallest >= _FIRST:
        return values
    right = microseconds.fill_null(0).to_numpy().copy()
    before = right < _FIRST
    infinite = (right == _MOVED_INFINITY) | (right == _MOVED_MINUS_INFINITY)
    if (before & ~infinite).any():
        raise StreamTableError(
            f"Column {name} holds a timestamp beyond the year 294246, which the warehouse cannot hold. Change it, or "
            "leave the column out of the publication by a column list."
        )
    right[right == _MOVED_INFINITY] = INFINITY
    right[right == _MOVED_MINUS_INFINITY] = -INFINITY
    return pa.array(right, pa.int64(), mask=values.is_null().to_numpy(zero_copy_only=False)).view(values.type)
