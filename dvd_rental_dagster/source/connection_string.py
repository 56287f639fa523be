"""Connection strings of the source: read in every form that libpq knows, written as URLs.

The forms are in PostgreSQL's documentation, 32.1.1 "Connection Strings".
"""

from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_dagster.errors import SettingsError

_IN_QUERY = frozenset("/,")  # a socket's folder, or several hosts


def parts(url: str) -> dict[str, str]:
    """The parameters of a connection string, by libpq's names.

    Raises:
        SettingsError: it is none; the message does not repeat it, for it may hold a password.
    """
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        raise SettingsError(
            "The source's address is no connection string. DVD_RENTAL_SOURCE_URL looks like "
            "postgresql://user:password@host:5432/database, with special characters percent-encoded."
        ) from None


def build(parameters: dict[str, str]) -> str:
    """The URL of these parameters."""
    rest = dict(parameters)
    user = quote(rest.pop("user", ""), safe="")
    if "password" in rest:
        user = f"{user}:{quote(rest.pop('password'), safe='')}"
    place = ""
    if not _IN_QUERY & set(rest.get("host", "") + rest.get("port", "")):
        host = rest.pop("host", "")
        place = f"[{host}]" if ":" in host else host
        if place and "port" in rest:
            place = f"{place}:{rest.pop('port')}"
    database = quote(rest.pop("dbname", ""), safe="")
    query = f"?{urlencode(rest, quote_via=quote)}" if rest else ""
    return f"postgresql://{f'{user}@' if user else ''}{place}/{database}{query}"


def database_of(url: str) -> str:
    """The database's name; libpq takes the user's where none is given."""
    parameters = parts(url)
    return parameters.get("dbname") or parameters.get("user", "")


def with_database(url: str, database: str) -> str:
    """The same server and role, another database."""
    return build({**parts(url), "dbname": database})


def with_role(url: str, role: str, password: str) -> str:
    """The same database, another role."""
    return build({**parts(url), "user": role, "password": password})


def without_password(url: str) -> str:
    """The same connection string to show to people."""
    return build({name: value for name, value in parts(url).items() if name != "password"})
