"""What people read while runs go on: a copy of the warehouse, replaced by one atomic rename.

One process at a time may open DuckDB's file for writing, and a reader keeps it out; so nobody reads the file itself.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from dvd_rental_dagster.disk import naming_a_full_disk
from dvd_rental_dagster.errors import WarehouseError
from dvd_rental_dagster.replication.destinations.duckdb_file import open_for_writing
from dvd_rental_dagster.replication.destinations.duckdb_types import quoted
from dvd_rental_dagster.settings import Engine, Settings
from dvd_rental_dagster.transformation.project import fingerprint


@dataclass(frozen=True)
class Build:
    """What the published models were built from: the last sync, and the dbt project's files.

    ``sync_id`` counts the embedded engine's syncs; with Airbyte it is the latest job that wrote a row.
    """

    sync_id: int
    fingerprint: str


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
        with _replacing(target) as copy:
            shutil.copyfile(settings.duckdb_path, copy)
    return target.stat().st_size


def record_build(settings: Settings) -> Build:
    """Note what the models now published were built from.

    Raises:
        WarehouseError: there is no room for the note.
    """
    with duckdb.connect(published_warehouse(settings), read_only=True) as connection:
        row = connection.execute(_last_sync(settings)).fetchone()
    build = Build(int(row[0]) if row and row[0] is not None else 0, fingerprint())
    with _replacing(settings.published_path / "build.json") as note:
        note.write_text(json.dumps(asdict(build)))
    return build


def _last_sync(settings: Settings) -> str:
    """The query for the last sync: of the ledger, or of the rows, each of which carries its job's number.

    Jobs and instants grow together, so each stream's youngest row tells, and no other is parsed.
    """
    if settings.engine is Engine.EMBEDDED:
        return "select max(sync_id) from ledger.position"
    youngest = " union all ".join(
        f"select arg_max(_airbyte_meta, _airbyte_extracted_at) as meta from raw.{quoted(stream.name)}"  # noqa: S608
        for stream in settings.streams
    )
    return f"select max(cast(cast(meta as json) ->> 'sync_id' as bigint)) from ({youngest})"  # noqa: S608


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
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


def recorded_build(settings: Settings) -> Build | None:
    """What the published models were built from; none when nothing was built yet."""
    path = settings.published_path / "build.json"
    if not path.exists() or not published_warehouse(settings).exists():
        return None
    return Build(**json.loads(path.read_text()))


def read(settings: Settings, query: str) -> duckdb.DuckDBPyRelation:
    """Ask the published warehouse.

    Raises:
        WarehouseError: nothing is published yet, or the query is wrong; the message is DuckDB's.
    """
    path = published_warehouse(settings)
    if not path.exists():
        raise WarehouseError("Nothing is published yet. Load and build the warehouse first: dvd-rental run.")
    try:
        relation = duckdb.connect(path, read_only=True).sql(query)
    except duckdb.Error as error:
        raise WarehouseError(f"The query failed. {error}") from error
    if relation is None:
        raise WarehouseError("The statement returns no rows. dvd-rental query reads; it does not change the warehouse.")
    return relation
