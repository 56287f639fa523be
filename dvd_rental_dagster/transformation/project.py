"""Where the dbt project is, and its manifest: parsed when a file of the project changed, else reused."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from dvd_rental_dagster.catalog import STREAMS
from dvd_rental_dagster.errors import GraphError
from dvd_rental_dagster.settings import PROJECT_ROOT, Settings, Warehouse
from dvd_rental_dagster.snowflake.account import building_role
from dvd_rental_dagster.transformation.log import log_file

DBT_PATH = PROJECT_ROOT / "dbt"
_SOURCES = frozenset({".sql", ".yml", ".md", ".csv"})


def check_streams(settings: Settings) -> None:
    """Make sure that what is replicated has all that the models read; more is no harm.

    Raises:
        GraphError: the catalog file lacks a stream of DVD Rental, or has it in another mode.
        CatalogError: the catalog file is missing or wrong.
    """
    replicated = {(stream.name, stream.mode) for stream in settings.streams}
    if missing := [stream.name for stream in STREAMS if (stream.name, stream.mode) not in replicated]:
        raise GraphError(
            f"The models are DVD Rental's, and the catalog {settings.catalog} does not replicate {', '.join(missing)} "
            "as they read them. Use dvd-rental sync, verify and query with this catalog, or unset DVD_RENTAL_CATALOG."
        )


def target_path(settings: Settings) -> Path:
    """Folder of everything that dbt writes."""
    return settings.home / "dbt"


def log_path(settings: Settings) -> Path:
    """What dbt has to say, but for debugging."""
    return settings.logs_path / "dbt" / "dbt.log"


def global_arguments(settings: Settings) -> list[str]:
    """Where dbt finds the project and leaves its files; goes behind every subcommand."""
    return [
        "--project-dir", str(DBT_PATH),
        "--profiles-dir", str(DBT_PATH),
        "--target", _target(settings),
        "--target-path", str(target_path(settings)),
        "--log-path", str(log_path(settings).parent),
        "--log-level", "none",
        "--log-level-file", "none",
        "--no-use-colors",
    ]  # fmt: skip


def _target(settings: Settings) -> str:
    """The models' warehouse; the project parses for DuckDB where only the embedded engine knows the one that is set."""
    return Warehouse.SNOWFLAKE if settings.warehouse is Warehouse.SNOWFLAKE else Warehouse.DUCKDB


@contextmanager
def environment(settings: Settings) -> Iterator[None]:
    """What ``profiles.yml`` reads, for as long as dbt runs in this process."""
    wanted = {
        "DVD_RENTAL_DUCKDB_PATH": str(settings.duckdb_path),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        **(_snowflake(settings) if settings.warehouse is Warehouse.SNOWFLAKE else {}),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _snowflake(settings: Settings) -> dict[str, str]:
    """The settings under their own names, wherever they were read from; what is not set stays away."""
    given = {
        "ACCOUNT": settings.snowflake_account,
        "HOST": settings.snowflake_host,
        "PORT": settings.snowflake_port,
        "PROTOCOL": settings.snowflake_protocol,
        "USER": settings.snowflake_user,
        "PASSWORD": settings.snowflake_password and settings.snowflake_password.get_secret_value(),
        "PRIVATE_KEY_PATH": settings.snowflake_private_key_path,
        "PRIVATE_KEY_PASSPHRASE": settings.snowflake_private_key_passphrase
        and settings.snowflake_private_key_passphrase.get_secret_value(),
        "ROLE": building_role(settings),
        "WAREHOUSE": settings.snowflake_warehouse,
        "DATABASE": settings.snowflake_database,
        "SCHEMA": settings.snowflake_schema,
    }
    return {f"DVD_RENTAL_SNOWFLAKE_{name}": str(value) for name, value in given.items() if value}


def built_schema(settings: Settings, name: str) -> str:
    """What staging, marts or reports are called where dbt builds them: as its macro ``generate_schema_name`` says."""
    is_shared = settings.warehouse is not Warehouse.SNOWFLAKE or settings.snowflake_schema in {"PUBLIC", name.upper()}
    return name if is_shared else f"{settings.snowflake_schema}_{name}"


def fingerprint() -> str:
    """A digest of every file that the manifest is made from."""
    digest = hashlib.sha256()
    for path in sorted(DBT_PATH.rglob("*")):
        if path.suffix in _SOURCES:
            digest.update(str(path.relative_to(DBT_PATH)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def manifest(settings: Settings) -> dict[str, Any]:
    """The project's manifest, parsed anew only when a file of the project changed.

    Raises:
        GraphError: dbt cannot parse the project; the message is dbt's own.
    """
    folder = target_path(settings)
    folder.mkdir(parents=True, exist_ok=True)
    stamp, manifest_path = folder / "fingerprint", folder / "manifest.json"
    current = _state(settings)
    with FileLock(folder / "parse.lock"):
        if not (manifest_path.exists() and stamp.exists() and stamp.read_text() == current):
            stamp.unlink(missing_ok=True)
            invoke(settings, ["parse"])
            stamp.write_text(current)
        parsed: dict[str, Any] = json.loads(manifest_path.read_text())
    return parsed


_kept: dict[str, Any] = {}


def keep_manifest(settings: Settings) -> None:
    """Parse the project now and compile its macros, so that a command of this process's forks does neither.

    Raises:
        GraphError: dbt cannot parse the project; the message is dbt's own.
    """
    parsed = invoke(settings, ["parse"])
    from dbt.task import build  # noqa: F401, PLC0415  # what a fork would import first
    from dbt_common.clients.agate_helper import build_type_tester  # noqa: PLC0415
    from dbt_common.clients.jinja import template_cache  # noqa: PLC0415

    for macro in parsed.macros.values():
        template_cache.get_node_template(macro)
    build_type_tester(())  # reads how the locale writes numbers
    _kept[_state(settings)] = parsed


def _state(settings: Settings) -> str:
    place = f"{settings.snowflake_database}.{settings.snowflake_schema}"
    return f"{fingerprint()} {_target(settings)} {place}"


def invoke(settings: Settings, arguments: Sequence[str], on_event: Callable[[Any], None] | None = None) -> Any:
    """Run one dbt command in this process and return its result; ``on_event`` hears dbt's structured log.

    Raises:
        GraphError: dbt could not run the command.
    """
    from dbt.cli.main import dbtRunner  # noqa: PLC0415  # takes seconds, and a fresh manifest needs none of it

    with environment(settings), log_file(log_path(settings)) as write:
        callbacks = [write, on_event] if on_event else [write]
        runner = dbtRunner(manifest=_kept.get(_state(settings)), callbacks=callbacks)
        outcome = runner.invoke([*arguments, *global_arguments(settings)])
        _let_go_of_warehouse()
    if outcome.exception is not None:
        raise GraphError(f"dbt {arguments[0]} failed: {outcome.exception}") from outcome.exception
    return outcome.result


def _let_go_of_warehouse() -> None:
    """Close the file that dbt's adapter keeps open until the process ends."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # noqa: PLC0415

    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
