"""Fills the source from an archive that pg_dump made, or from the tutorial's zip around one.

pg_restore writes the archive as a script and psql runs it, rather than pg_restore alone: the restore of version 17 and
newer sets ``transaction_timeout``, which older servers do not know, and that one line has to go.
"""

import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.errors import ArchiveError
from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.source.binaries import Binaries
from dvd_rental_dagster.source.cluster import ENVIRONMENT, last_lines
from dvd_rental_dagster.source.connection_string import build, parts
from dvd_rental_dagster.source.replacement import replace_database
from dvd_rental_dagster.source.tables import differences

_ZIP_START = b"PK"
_UNKNOWN_TO_OLD_SERVERS = b"SET transaction_timeout = 0;\n"
_TUTORIAL = "The DVD Rental archive is dvdrental.tar, or the zip that holds it."


def restore_archive(
    url: str, archive: Path, programs: Binaries, progress: Progress = silent, *, keep_existing: bool = False
) -> None:
    """Replace the database of ``url``, by the role of ``url``, with the one in the archive.

    ``archive`` is what pg_dump wrote in its tar or custom format, or a zip with one such tar file. The role owns what
    is restored. With ``keep_existing`` nothing is done where the database exists.

    Raises:
        ArchiveError: the archive is missing, damaged or not a DVD Rental; the database that stood before is untouched.
        SourceError: the role may not replace the database.
        SourceUnreachableError: no server answers.
    """
    with _archive(archive) as unpacked:
        _refuse_truncated(unpacked, archive)
        _refuse_foreign(unpacked, archive, programs)
        replace_database(
            url, lambda new: _restore(new, unpacked, archive, programs, progress), keep_existing=keep_existing
        )


@contextmanager
def _archive(path: Path) -> Iterator[Path]:
    """The archive itself: ``path``, or the tar file in it where it is a zip, unpacked for the while."""
    if not path.is_file():
        raise ArchiveError(f"{path} is {'a folder' if path.is_dir() else 'missing'}. {_TUTORIAL}")
    with path.open("rb") as file:
        if file.read(len(_ZIP_START)) != _ZIP_START:
            yield path
            return
    with tempfile.TemporaryDirectory(prefix="dvd-rental-") as folder:
        unpacked = Path(folder) / "dvdrental.tar"
        try:
            with zipfile.ZipFile(path) as archive:
                members = [name for name in archive.namelist() if name.endswith(".tar")]
                if len(members) != 1:
                    raise ArchiveError(f"{path} holds {len(members)} tar files and not one. {_TUTORIAL}")
                with archive.open(members[0]) as packed, unpacked.open("wb") as target:
                    shutil.copyfileobj(packed, target)
        except zipfile.BadZipFile as error:
            raise ArchiveError(f"{path} is a damaged zip: {error}. Fetch it again.") from error
        yield unpacked


def _refuse_truncated(unpacked: Path, archive: Path) -> None:
    """Look for the end of a tar file, which pg_restore looks for without end."""
    if not tarfile.is_tarfile(unpacked):
        return
    try:
        with tarfile.open(unpacked, "r:") as members:
            members.getmembers()
    except tarfile.TarError as error:
        raise ArchiveError(f"{archive} is damaged: {error}. Fetch it again.") from error


def _refuse_foreign(unpacked: Path, archive: Path, programs: Binaries) -> None:
    listed = subprocess.run(
        [programs.program("pg_restore"), "--list", unpacked],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if listed.returncode != 0:
        raise ArchiveError(f"{archive} is no archive of pg_dump: {last_lines(listed.stderr)}. {_TUTORIAL}")
    entries = {tuple(line.split()[3:6]) for line in listed.stdout.splitlines() if not line.startswith(";")}
    missing = [name for name in STREAM_NAMES if ("TABLE", "public", name) not in entries]
    if missing:
        raise ArchiveError(
            f"{archive} is no DVD Rental database: it lacks the tables {', '.join(missing)}. {_TUTORIAL}"
        )


def _restore(url: str, unpacked: Path, archive: Path, programs: Binaries, progress: Progress) -> None:
    parameters = parts(url)
    password = {"PGPASSWORD": parameters.pop("password")} if "password" in parameters else {}  # ps shows arguments
    with tempfile.TemporaryFile() as complaints:
        reader = subprocess.Popen(
            [programs.program("pg_restore"), "--no-owner", "--no-privileges", "--no-comments", "--file=-", unpacked],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        writer = subprocess.Popen(
            [programs.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", build(parameters)],
            env={**ENVIRONMENT, **password},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        )
        with reader, writer:
            try:
                _pipe(cast("IO[bytes]", reader.stdout), cast("IO[bytes]", writer.stdin), progress)
            except BaseException:
                reader.kill()
                writer.kill()
                raise
        complaints.seek(0)
        said = last_lines(complaints.read().decode(errors="replace"))
    if reader.returncode != 0 or writer.returncode != 0:
        raise ArchiveError(f"{archive} was not restored, and the database is as it was: {said}")
    with connect(url) as connection:
        if found := differences(connection):
            raise ArchiveError(f"{archive} is no DVD Rental database: {'; '.join(found)}. {_TUTORIAL}")
        connection.execute("analyze")


def _pipe(script: IO[bytes], server: IO[bytes], progress: Progress) -> None:
    """Send the script to psql, without the setting that old servers refuse; a table is done when the next begins."""
    tables = 0
    try:
        with server:
            for line in script:
                if line.startswith(b"COPY "):
                    progress("Restoring tables", min(tables, len(STREAM_NAMES)), len(STREAM_NAMES))
                    tables += 1
                if tables or line != _UNKNOWN_TO_OLD_SERVERS:
                    server.write(line)
    except BrokenPipeError:
        return  # psql stopped at an error, which it has told
    progress("Restoring tables", len(STREAM_NAMES), len(STREAM_NAMES))
