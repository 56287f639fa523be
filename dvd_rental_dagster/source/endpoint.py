"""Who the source is and how to reach it: the embedded server, or the user's own that DVD_RENTAL_SOURCE_URL names."""

from dataclasses import dataclass, field
from pathlib import Path

from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.replication.session import connect
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.source.binaries import find_binaries
from dvd_rental_dagster.source.capture import Capture, Step
from dvd_rental_dagster.source.connection_string import parts, with_role
from dvd_rental_dagster.source.credentials import Who, password
from dvd_rental_dagster.source.preparation import prepare
from dvd_rental_dagster.source.replacement import is_whole, replace_database
from dvd_rental_dagster.source.restore import restore_archive
from dvd_rental_dagster.source.server import EmbeddedServer


@dataclass(frozen=True)
class Source:
    """A source that answers: connection strings of its owner and of the role that captures changes.

    ``local_role_url`` takes the fastest way there: the embedded server's unix socket, else the same as ``role_url``.
    """

    owner_url: str = field(repr=False)
    role_url: str = field(repr=False)
    local_role_url: str = field(repr=False)
    embedded: bool


def ensure_source(settings: Settings, progress: Progress = silent) -> Source:
    """The source, ready to be replicated.

    The embedded one is started, filled when it has no database, and prepared, as far as each is needed. One of the
    user's own is only asked whether it answers: what it lacks, ``prepare_source`` makes.

    Raises:
        SourceError: it cannot be had; the message names the remedy.
    """
    if settings.source_url is None:
        embedded_server(settings).ensure_running()
        owner_url = source_url(settings, local=True)
        if not is_whole(owner_url):
            _fill(settings, progress)
        prepare_source(settings)
    else:
        connect(source_url(settings)).close()
    return Source(
        owner_url=source_url(settings),
        role_url=source_url(settings, "airbyte"),
        local_role_url=source_url(settings, "airbyte", local=True),
        embedded=settings.source_url is None,
    )


def source_url(settings: Settings, role: Who = "owner", *, local: bool = False) -> str:
    """The source's connection string, as its owner or as the role that captures changes.

    ``local`` goes through the embedded server's unix socket. For a source of the user's own the owner is whoever
    DVD_RENTAL_SOURCE_URL names.

    Raises:
        ServerError: the embedded server does not run.
        SettingsError: DVD_RENTAL_SOURCE_URL is no connection string.
    """
    if settings.source_url is None:
        owner_url = embedded_server(settings).url(local=local)
    else:
        owner_url = settings.source_url.get_secret_value()
    owner = parts(owner_url).get("user")
    if role == "owner" or owner == settings.role:
        return owner_url
    return with_role(owner_url, settings.role, _role_password(settings))


def prepare_source(settings: Settings) -> list[Step]:
    """Make the source ready for change data capture, as its owner; a second time changes nothing.

    Raises:
        PreparationError: something is missing and cannot be made from here.
        SourceUnreachableError: no server answers.
    """
    embedded = settings.source_url is None
    capture = Capture(
        role=settings.role,
        password=_role_password(settings),
        publication=settings.publication,
        slot=settings.slot,
        may_set_password=embedded or settings.role_password is not None,
        streams=settings.streams,
    )
    with connect(source_url(settings, local=True)) as connection:
        return prepare(connection, capture)


def restore_source(settings: Settings, archive: Path, progress: Progress = silent) -> None:
    """Replace the source's database with the one in an archive; the embedded one is also prepared.

    Raises:
        ArchiveError: the archive is missing, damaged or foreign; the database is as it was.
    """
    _start(settings)
    restore_archive(source_url(settings), archive, find_binaries(), progress)
    _prepare_embedded(settings)


def generate_source(settings: Settings, scale: int, seed: int, progress: Progress = silent) -> None:
    """Replace the source's database with a generated one; the embedded one is also prepared.

    Raises:
        SourceError: the role may not replace the database, or no server answers.
    """
    _start(settings)
    replace_database(source_url(settings, local=True), lambda url: _generate(url, scale, seed, progress))
    _prepare_embedded(settings)


def fill_source(settings: Settings, progress: Progress = silent) -> bool:
    """Make the source's database when there is none of its name, and prepare it; whether it was made.

    Raises:
        ArchiveError: the archive that DVD_RENTAL_DUMP names is missing, damaged or foreign.
        SourceError: the role may not make the database, or no server answers.
    """
    _start(settings)
    missing = not is_whole(source_url(settings, local=True))
    if missing:
        _fill(settings, progress)
    prepare_source(settings)
    return missing


def embedded_server(settings: Settings) -> EmbeddedServer:
    """The server of this home, running or not."""
    return EmbeddedServer(
        settings.postgres_path,
        max_slot_wal_keep_size=settings.max_slot_wal_keep_size,
        log=settings.logs_path / "postgres.log",
    )


def _start(settings: Settings) -> None:
    if settings.source_url is None:
        embedded_server(settings).ensure_running()


def _prepare_embedded(settings: Settings) -> None:
    if settings.source_url is None:
        prepare_source(settings)


def _fill(settings: Settings, progress: Progress) -> None:
    """Make the first database: the archive that DVD_RENTAL_DUMP names, else generated data."""
    url = source_url(settings, local=True)
    if settings.dump is not None:
        restore_archive(url, settings.dump, find_binaries(), progress, keep_existing=True)
    else:
        replace_database(url, lambda new: _generate(new, settings.scale, settings.seed, progress), keep_existing=True)


def _generate(url: str, scale: int, seed: int, progress: Progress) -> None:
    from dvd_rental_dagster.source.generator import generate  # noqa: PLC0415  numpy is loaded when it is needed

    generate(url, scale=scale, seed=seed, progress=progress)


def _role_password(settings: Settings) -> str:
    if settings.role_password is not None:
        return settings.role_password.get_secret_value()
    return password(settings.postgres_path / "credentials", settings.role)
