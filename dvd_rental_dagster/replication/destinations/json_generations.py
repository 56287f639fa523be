"""A folder of generations of files, of which readers see one: ``current``, a symbolic link that is replaced at once."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from dvd_rental_dagster.disk import naming_a_full_disk
from dvd_rental_dagster.errors import WarehouseError

_CURRENT = "current"
_NEXT = "current.next"
_READ_BYTES = 16 << 20
_LINE_END = 10


class Generations:
    """The generations below ``folder``, numbered; the files of one that readers saw are never written to again.

    The one before the current stays, so that who has begun to read it can finish.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbered = folder / "generations"

    @property
    def current(self) -> Path | None:
        """Folder of the generation that readers see; none before the first."""
        link = self._folder / _CURRENT
        return self._numbered / link.readlink().name if link.is_symlink() and link.exists() else None

    def clear(self) -> None:
        """Remove what a process left half made."""
        seen = _number(self.current)
        for path in self._paths():
            if _number(path) > seen:
                shutil.rmtree(path)
        (self._folder / _NEXT).unlink(missing_ok=True)

    def begin(self) -> Path:
        """Folder of a new generation, which nobody sees."""
        path = self._numbered / str(_number(self.current) + 1)
        path.mkdir(parents=True)
        return path

    def put(self, path: Path) -> None:
        """Let readers see the generation, whose files are on the disk, and remove those before the one they saw."""
        for folder in (*filter(Path.is_dir, path.iterdir()), path, self._numbered):
            _flush(folder)
        seen = _number(self.current)
        link = self._folder / _NEXT
        link.symlink_to(path.relative_to(self._folder))
        link.replace(self._folder / _CURRENT)
        _flush(self._folder)
        for older in self._paths():
            if _number(older) < seen:
                shutil.rmtree(older)

    def remove(self) -> None:
        """Remove all of them."""
        (self._folder / _CURRENT).unlink(missing_ok=True)
        (self._folder / _NEXT).unlink(missing_ok=True)
        if self._numbered.exists():
            shutil.rmtree(self._numbered)

    def _paths(self) -> list[Path]:
        paths = self._numbered.iterdir() if self._numbered.exists() else ()
        return [path for path in paths if path.name.isdecimal()]


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Name the remedy where the folder cannot be written.

    Raises:
        WarehouseError: there is no room, no permission, or no such file system.
    """
    try:
        with naming_a_full_disk(folder):
            yield
    except OSError as error:
        raise WarehouseError(
            f"The warehouse {folder} cannot be written: {error}. Make it a folder that this user may write, on a file "
            "system that has symbolic and hard links, or name another with DVD_RENTAL_JSON_PATH."
        ) from error


def write_lines(path: Path, batches: pa.RecordBatchReader, before: Path | None = None) -> None:
    """Write a file, and to the disk: what ``before`` holds, then the batches' only column, of large strings."""
    if before is not None:
        shutil.copyfile(before, path)
    with path.open("ab") as file:
        for batch in batches:
            column = batch.column(0)
            _, offsets, values = column.buffers()
            ends = np.frombuffer(offsets, np.int64)
            file.write(memoryview(values or b"")[ends[column.offset] : ends[column.offset + len(column)]])
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a file, and to the disk."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> pa.RecordBatchReader:
    """The lines of a file, their ends included, as the binary column ``line``; none where there is no file."""
    schema = pa.schema({"line": pa.large_binary()})
    return pa.RecordBatchReader.from_batches(schema, _batches(path, schema))


def _batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if not path.exists():
        return
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            chunk += file.readline()
            ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == _LINE_END) + 1
            if not chunk.endswith(b"\n"):
                ends = np.append(ends, len(chunk))
            offsets = np.concatenate(([0], ends)).astype(np.int64)
            lines = pa.Array.from_buffers(
                pa.large_binary(), len(ends), [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(chunk)]
            )
            yield pa.RecordBatch.from_arrays([lines], schema=schema)


def _number(path: Path | None) -> int:
    return int(path.name) if path is not None else 0


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
