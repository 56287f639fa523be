"""What people read while runs go on: a copy of the warehouse, replaced by one atomic rename.

One process at a time may open DuckDB's file for writing, and a reader keeps it out; so nobody reads the file itself.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvd_rental_dagster.disk import naming_a_full_disk
from dvd_rental_dagster.errors import WarehouseError
from dvd_rental_dagster.replication.destinations.duckdb_file import open_for_writing
from dvd_rental_dagster.settings import Settings


def published_warehouse(settings: Settings) -> Path:
    """The file that readers open."""
    return settings.published_path / "warehouse.duckdb"


def publish(settings: Settings) -> int:
    """Copy the warehouse to where readers find it; return the copy's size in bytes.

    Raises:
        WarehouseBusyError: another process writes to the warehouse.
        WarehouseError: there is no room for the copy.
    """
    target = published_warehouse(settings)
    with open_for_writing(settings.duckdb_path) as connection:
        connection.execute("checkpoint")
        with replacing(target) as copy:
            shutil.copyfile(settings.duckdb_path, copy)
    return target.stat().st_size


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A file to write that takes the target's place in one step, or is gone.

    Raises:
        WarehouseError: it cannot be written.
    """
    partial = target.with_name(target.name + ".partial")  # also what a killed process left of it
    try:
        with naming_a_full_disk(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(target)
    except OSError as error:
        raise WarehouseError(
            f"{target} cannot be published: {error}. What was published before stays. "
            "Mend that, then run dvd-rental run."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
