"""A folder of JSON lines, one file a stream, as Airbyte's destination "Local JSON" writes them.

The tables of a DuckDB file beside them are what is worked on: they and the ledger commit there. When the folder is
closed, and after a kill when it is opened again, the streams that changed are written to files anew, and readers see
all of them at once.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from filelock import FileLock, Timeout

from dvd_rental_dagster.errors import WarehouseBusyError
from dvd_rental_dagster.replication.destinations import Checksum
from dvd_rental_dagster.replication.destinations.duckdb_file import DuckDBDestination
from dvd_rental_dagster.replication.destinations.duckdb_tables import SCHEMAS, types_held
from dvd_rental_dagster.replication.destinations.duckdb_types import quoted
from dvd_rental_dagster.replication.destinations.json_generations import (
    Generations,
    read_lines,
    write_lines,
    write_text,
    writing_to,
)
from dvd_rental_dagster.replication.destinations.json_lines import file_name, line
from dvd_rental_dagster.replication.evolution import Evolution
from dvd_rental_dagster.replication.failpoint import FailPoint, reach
from dvd_rental_dagster.replication.ledger import Ledger, StreamState
from dvd_rental_dagster.replication.lsn import format_lsn
from dvd_rental_dagster.replication.rows import Changes
from dvd_rental_dagster.replication.table import Table

_STATE = "state.duckdb"
_LOCK = "lock"
_LEDGER = "ledger.json"
_BATCH_ROWS = 10_000
_MARKS = """
set arrow_large_buffer_size = true;
create schema if not exists ledger;
create table if not exists ledger.unpublished (stream varchar not null, reshaped boolean not null)
"""


def remove(folder: Path) -> None:
    """Remove what the destination made in the folder; files of others stay."""
    Generations(folder).remove()
    for name in (_STATE, f"{_STATE}.wal", _LOCK):
        (folder / name).unlink(missing_ok=True)


class JsonDestination(DuckDBDestination):
    """``Destination`` on a folder of JSON lines.

    A log larger than a batch commits many times and is published once: what is committed is safe in the DuckDB file,
    and until the end of the sync readers see the rows of before.
    """

    def __init__(self, folder: Path, *, wait_seconds: float = 30) -> None:
        super().__init__(folder / _STATE, wait_seconds=wait_seconds)
        self._folder = folder
        self._generations = Generations(folder)
        self._changed: dict[str, bool] = {}

    def __enter__(self) -> Self:
        self._changed = {}
        with ExitStack() as held:
            with writing_to(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                if not os.access(self._folder, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self._folder))
                held.enter_context(self._locked())
            super().__enter__()
            held.push(super().__exit__)
            self._connection.execute(_MARKS)
            self._publish()
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._held.__exit__(kind, error, traceback)
            return
        with self._held:
            self._publish()

    def load(
        self, table: Table, state: StreamState, before: StreamState | None, rows: pa.RecordBatchReader, floor_lsn: int
    ) -> int:
        """See ``Destination.load``."""
        self._changed[table.stream.name] = True
        return super().load(table, state, before, rows, floor_lsn)

    def apply(self, table: Table, state: StreamState, changes: Changes) -> None:
        """See ``Destination.apply``."""
        self._changed.setdefault(table.stream.name, False)
        super().apply(table, state, changes)

    def truncate(self, table: Table, state: StreamState, lsn: int, committed_at: int) -> int:
        """See ``Destination.truncate``."""
        self._changed.setdefault(table.stream.name, False)
        return super().truncate(table, state, lsn, committed_at)

    def evolve(self, table: Table, state: StreamState, evolution: Evolution, lsn: int, committed_at: int) -> None:
        """See ``Destination.evolve``."""
        self._changed[table.stream.name] = True
        super().evolve(table, state, evolution, lsn, committed_at)

    def commit(self, ledger: Ledger) -> None:
        """See ``Destination.commit``."""
        if self._changed:
            self._connection.executemany("insert into ledger.unpublished values (?, ?)", list(self._changed.items()))
        super().commit(ledger)
        self._changed = {}

    def checksums(self, table: Table, rows: pa.RecordBatchReader) -> tuple[Checksum, Checksum]:
        """See ``Destination.checksums``; a row whose line is not in the file counts as missing."""
        with self._as_published(table) as lines:
            source, warehouse = super().checksums(table, rows)
        return source, replace(warehouse, rows=lines)

    def differing_keys(self, table: Table, rows: pa.RecordBatchReader, limit: int) -> tuple[tuple[Any, ...], ...]:
        """See ``Destination.differing_keys``."""
        with self._as_published(table):
            return super().differing_keys(table, rows, limit)

    @contextmanager
    def _as_published(self, table: Table) -> Iterator[int]:
        """Take from ``raw``, for as long as it is compared, the rows that are not in the file; the file's lines."""
        stream = table.stream.name
        self._connection.execute("begin transaction")
        try:
            self._connection.register("file_lines", read_lines(self._file("raw", stream)))
            self._connection.execute(
                "create or replace temp table published_lines as select hash(line) as line from file_lines"
            )
            self._connection.unregister("file_lines")
            self._connection.execute(
                f"""
                delete from raw.{quoted(stream)} where _airbyte_raw_id in (
                    select _airbyte_raw_id
                    from (
                        select _airbyte_raw_id, hash(encode({self._line("raw", stream)})) as line
                        from raw.{quoted(stream)}
                    )
                    anti join published_lines using (line)
                )
                """
            )
            [(lines,)] = self._all("select count(*) from published_lines")
            yield lines
        finally:
            self._connection.execute("rollback")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep others of this process out too, whom DuckDB would let in."""
        lock = FileLock(self._folder / _LOCK)
        try:
            lock.acquire(timeout=self._wait_seconds)
        except Timeout as error:
            raise WarehouseBusyError(
                f"Another process holds the warehouse {self._folder}. Wait for it to finish, or stop it."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _publish(self) -> None:
        """Let readers see what was committed and is not in the files."""
        with writing_to(self._folder):
            self._generations.clear()
            ledger = self.read_ledger()
            marks = self._all("select stream, bool_or(reshaped) from ledger.unpublished group by stream")
            if ledger is None or (not marks and self._generations.current):
                return
            self._write_generation(ledger, dict(marks))
        reach(FailPoint.IN_PUBLICATION)
        self._connection.execute("delete from ledger.unpublished")

    def _write_generation(self, ledger: Ledger, changed: dict[str, bool]) -> None:
        """Write the files of the streams that changed, link those of the others, and let readers see them all."""
        seen = self._generations.current
        since = json.loads((seen / _LEDGER).read_text())["extracted_at"] if seen else 0
        path = self._generations.begin()
        for schema in SCHEMAS:
            (path / schema).mkdir()
        tables = self._all(
            f"select schema_name, table_name from duckdb_tables() where schema_name in {SCHEMAS} order by all"
        )
        for schema, stream in tables:
            file = path / schema / file_name(stream)
            before = self._file(schema, stream)
            if not before.exists():
                write_lines(file, self._lines(schema, stream))
            elif stream not in changed:
                file.hardlink_to(before)
            elif schema == "history" and not changed[stream]:
                write_lines(file, self._lines(schema, stream, since), before)
            else:
                write_lines(file, self._lines(schema, stream))
        write_text(path / _LEDGER, _ledger_text(ledger))
        reach(FailPoint.IN_PUBLICATION)
        self._generations.put(path)

    def _file(self, schema: str, stream: str) -> Path:
        """The stream's file that readers see, or a path where there is none."""
        return (self._generations.current or self._folder) / schema / file_name(stream)

    def _lines(self, schema: str, stream: str, since: int = 0) -> pa.RecordBatchReader:
        """The lines of the rows stamped later than ``since``, in no order: sorting them would take their memory."""
        return self._connection.sql(
            f"select {self._line(schema, stream)} as line from {schema}.{quoted(stream)}"
            f" where _airbyte_extracted_at > make_timestamptz({since})"
        ).to_arrow_reader(_BATCH_ROWS)

    def _line(self, schema: str, stream: str) -> str:
        return line(types_held(self._connection, schema, stream))


def _ledger_text(ledger: Ledger) -> str:
    streams = {
        name: {"file": file_name(name), "mode": state.mode.value, "generation_id": state.generation}
        for name, state in sorted(ledger.streams.items())
    }
    place = {
        "lsn": format_lsn(ledger.lsn), "sync_id": ledger.sync_id, "extracted_at": ledger.extracted_at,
        "committed_at": ledger.committed_at, "streams": streams,
    }  # fmt: skip
    return json.dumps(place, ensure_ascii=False, indent=2) + "\n"
