"""A connection to the account that the settings name."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvd_rental_dagster.errors import SettingsError, SnowflakeError, one_line
from dvd_rental_dagster.progress import Progress, silent
from dvd_rental_dagster.settings import Settings
from dvd_rental_dagster.snowflake.bootstrap import Layout

SESSION = {"QUERY_TAG": "dvd_rental", "TIMEZONE": "UTC"}
"""Parameters of every session: queries are found by the tag, and instants are told as those of the other side are."""

if TYPE_CHECKING:
    from snowflake.connector import Error, SnowflakeConnection


NETWORK_SECONDS = 300
"""How long a request is tried again when the network fails; a query may take longer than that."""


def credentials(settings: Settings) -> dict[str, str]:
    """Account, user and either key pair or password, under the names of Snowflake's connector for Python.

    Raises:
        SettingsError: a setting is missing, both a key and a password are set, or the key cannot be had.
    """
    given = {"account": settings.snowflake_account, "user": settings.snowflake_user}
    if missing := [f"DVD_RENTAL_SNOWFLAKE_{name.upper()}" for name, value in given.items() if not value]:
        raise SettingsError(f"The Snowflake account is not known. Set {' and '.join(missing)}.")
    found = {name: value for name, value in given.items() if value}
    key, password = settings.snowflake_private_key_path, settings.snowflake_password
    if (key is None) == (password is None):
        found_set = "Neither a key nor a password is" if key is None else "Both a key and a password are"
        raise SettingsError(
            f"{found_set} set for Snowflake. "
            "Set one of DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH and DVD_RENTAL_SNOWFLAKE_PASSWORD."
        )
    if password is not None:
        return found | {"password": password.get_secret_value()}
    if key is None or not key.exists():
        raise SettingsError(f"DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH names {key}, which does not exist. Correct it.")
    passphrase = settings.snowflake_private_key_passphrase
    _check_key(key, passphrase.get_secret_value() if passphrase else None)
    found |= {"authenticator": "SNOWFLAKE_JWT", "private_key_file": str(key)}
    if passphrase:
        found["private_key_file_pwd"] = passphrase.get_secret_value()
    return found


def _check_key(path: Path, passphrase: str | None) -> None:
    """Make sure that the file has a key that the passphrase, or none, opens; the connector would not say which fails.

    Raises:
        SettingsError: it has not.
    """
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415  # of the extra
    except ImportError as error:
        raise _not_installed() from error
    try:
        load_pem_private_key(path.read_bytes(), passphrase.encode() if passphrase else None)
    except OSError as error:
        raise SettingsError(
            f"DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH names {path}, which cannot be read: {error.strerror}. Correct it."
        ) from error
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"{path} has no private key in PEM that the passphrase opens, or none has to. Correct "
            "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH and DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE."
        ) from error


def address(settings: Settings) -> dict[str, Any]:
    """Where the account answers, under the connector's names; nothing where it looks for the account by its name."""
    if settings.snowflake_host is None:
        return {}
    return {
        "host": settings.snowflake_host,
        "port": settings.snowflake_port,
        "protocol": settings.snowflake_protocol,
    }


def layout(settings: Settings) -> Layout:
    """The names that the bootstrap gives what it makes."""
    return Layout(settings.snowflake_database, settings.snowflake_warehouse)


def building_role(settings: Settings) -> str:
    """Who builds and reads: the role that is set, else the one that is called after the database."""
    return settings.snowflake_role or layout(settings).role("TRANSFORMER")


def loading_role(settings: Settings) -> str:
    """Who loads: the role that is set, else the one that is called after the database."""
    return settings.snowflake_loader_role or layout(settings).role("LOADER")


def place(settings: Settings) -> dict[str, str]:
    """Role, virtual warehouse and database of a session that reads and builds, under the connector's names."""
    return {
        "role": building_role(settings),
        "warehouse": settings.snowflake_warehouse,
        "database": settings.snowflake_database,
    }


def opened(settings: Settings, **options: Any) -> "SnowflakeConnection":
    """A session with what the options say of role, virtual warehouse, database and parameters; else the user's own.

    Raises:
        SettingsError: the extra is not installed, or a setting is missing.
        SnowflakeError: the account cannot be reached, or refuses the user.
    """
    try:
        from snowflake import connector  # noqa: PLC0415  # an extra, and it takes a second
    except ImportError as error:
        raise _not_installed() from error
    wanted: dict[str, Any] = credentials(settings) | address(settings)
    try:
        return connector.connect(
            **wanted, **{"session_parameters": SESSION, "network_timeout": NETWORK_SECONDS} | options
        )
    except connector.Error as error:
        raise not_let_in(settings, error) from error


def in_one_line(error: "Error") -> str:
    """Snowflake's words, which have several lines, as a sentence."""
    return one_line(error.msg) + "."


def _not_installed() -> SettingsError:
    return SettingsError(
        "Snowflake's connector is not installed. Install the extra: pip install 'dvd-rental-dagster[snowflake]'."
    )


def not_let_in(settings: Settings, error: "Error") -> SnowflakeError:
    """What to say when no session can be opened."""
    return SnowflakeError(
        f"Snowflake's account {settings.snowflake_account} did not let {settings.snowflake_user} in: "
        f"{in_one_line(error)} Check the DVD_RENTAL_SNOWFLAKE_* settings."
    )


@contextmanager
def connect(settings: Settings, **options: Any) -> Iterator["SnowflakeConnection"]:
    """A session that is closed afterwards; options and errors are those of ``opened``."""
    with opened(settings, **options) as connection:
        yield connection


def execute(connection: "SnowflakeConnection", statements: Sequence[str], progress: Progress = silent) -> None:
    """Run the statements in order; what ran before one that fails stays done.

    Raises:
        SnowflakeError: a statement is refused; the message has it and the reason.
    """
    from snowflake.connector import Error  # noqa: PLC0415  # who has a connection has paid for it

    with connection.cursor() as cursor:
        for done, statement in enumerate(statements):
            progress("Preparing Snowflake", done, len(statements))
            try:
                cursor.execute(statement)
            except Error as error:
                raise SnowflakeError(
                    f"Snowflake refused `{statement}`: {in_one_line(error)} "
                    "Run it again as a user who may act as SYSADMIN and as SECURITYADMIN; what is done stays done."
                ) from error
