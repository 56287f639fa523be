"""Timestamps at the ends of their range, put right after ADBC.

ADBC moves the server's microseconds from their epoch, 2000, to Arrow's, 1970, infinities as well (PostgreSQL
documentation, 8.5.1.4 "Special Values"). What leaves 64 bits on the way comes out before 4714 BC, where no timestamp
is.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dvd_rental_dagster.replication.pgoutput import POSTGRES_EPOCH_MICROSECONDS

_INT64 = np.iinfo(np.int64)
_FIRST = -211_813_488_000_000_000 + POSTGRES_EPOCH_MICROSECONDS
_MOVED_MINUS_INFINITY = int(_INT64.min) + POSTGRES_EPOCH_MICROSECONDS
_MOVED_INFINITY = _MOVED_MINUS_INFINITY - 1
_INFINITY = int(_INT64.max)
"""Infinity as DuckDB has it, in the microseconds of its timestamps; minus infinity is the same, negated."""

_YEARS_OF_A_CYCLE = 400
_MICROSECONDS_OF_A_CYCLE = 146_097 * 86_400_000_000
"""The Gregorian calendar repeats itself after 400 years."""


class UnfitTimestampError(ValueError):
    """A timestamp from the year 294247 on, where 64 bits since 1970 end; the message is its text."""


def with_infinities(values: pa.Array) -> pa.Array:
    """The timestamps with infinities as DuckDB has them; the same array when there is nothing to put right.

    Raises:
        UnfitTimestampError: DuckDB has no such timestamp.
    """
    microseconds = values.view(pa.int64())
    ends = pc.min_max(microseconds)
    smallest, greatest = ends["min"].as_py(), ends["max"].as_py()
    if smallest is None or (smallest >= _FIRST and greatest < _INFINITY):
        return values
    right = microseconds.fill_null(0).to_numpy().copy()
    is_infinity, is_minus_infinity = right == _MOVED_INFINITY, right == _MOVED_MINUS_INFINITY
    unfit = ((right < _FIRST) & ~is_infinity & ~is_minus_infinity) | (right == _INFINITY)
    if unfit.any():
        raise UnfitTimestampError(_text(int(right[unfit][0])))
    right[is_infinity] = _INFINITY
    right[is_minus_infinity] = -_INFINITY
    return pa.array(right, pa.int64(), mask=values.is_null().to_numpy(zero_copy_only=False)).view(values.type)


def _text(moved: int) -> str:
    """The timestamp that came out as these microseconds, as PostgreSQL writes it."""
    cycles, rest = divmod(moved % (1 << 64), _MICROSECONDS_OF_A_CYCLE)
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=rest)
    return f"{instant.year + cycles * _YEARS_OF_A_CYCLE}{instant:-%m-%d %H:%M:%S.%f}"
