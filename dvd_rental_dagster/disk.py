"""A disk that is full, told as what it is: which file could not be written, and how to make room."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from dvd_rental_dagster.errors import WarehouseError, one_line

_NUMBERS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
)  # the disk, a quota or a limit of the process (setrlimit)
_REASONS = tuple(os.strerror(number) for number in _NUMBERS)


@contextmanager
def naming_a_full_disk(path: Path) -> Iterator[None]:
    """Name the file and the remedy when it cannot be written for want of room.

    DuckDB has no error of its own for that, but quotes the system's: as an error of input and output, of a commit that
    failed, or, once a checkpoint failed, as a fatal one that every later statement repeats.

    Raises:
        WarehouseError: there is no room.
    """
    try:
        yield
    except duckdb.Error as error:
        if not any(reason in str(error) for reason in _REASONS):
            raise
        raise _full(path, error) from error
    except OSError as error:
        if error.errno not in _NUMBERS:
            raise
        raise _full(path, error) from error


def _full(path: Path, error: Exception) -> WarehouseError:
    reason = one_line(error)
    return WarehouseError(
        f"There is no room to write {path}: {reason}. What was there before stays. Free some space, or move what "
        "DVD_RENTAL_HOME names (DVD_RENTAL_JSON_PATH, if that is set) to a larger disk and set it anew; then run it "
        "again."
    )
