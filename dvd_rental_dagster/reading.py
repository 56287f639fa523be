"""Questions to what was built: the published file of DuckDB, or Snowflake itself."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from dvd_rental_dagster.errors import WarehouseError
from dvd_rental_dagster.publication import published_warehouse
from dvd_rental_dagster.settings import Settings, Warehouse
from dvd_rental_dagster.snowflake.session import own_connections, session

_COMMENTS = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_READS = re.compile(rf"{_COMMENTS}[\s(]*(?:select|with|values|show|describe|desc|explain)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """Names of the columns, and the rows."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]


def read(settings: Settings, query: str) -> Answer:
    """Ask the warehouse; nothing is changed.

    Raises:
        SettingsError: Snowflake is the warehouse and its account is not known.
        WarehouseError: nothing is published yet, or the query is wrong; the message is the warehouse's.
    """
    return _account(settings, query) if settings.warehouse is Warehouse.SNOWFLAKE else _published(settings, query)


def _published(settings: Settings, query: str) -> Answer:
    path = published_warehouse(settings)
    if not path.exists():
        raise WarehouseError("Nothing is published yet. Load and build the warehouse first: dvd-rental run.")
    try:
        relation = duckdb.connect(path, read_only=True).sql(query)
        if relation is not None:
            return Answer(relation.columns, relation.fetchall())
    except duckdb.Error as error:
        raise WarehouseError(f"The query failed. {error}") from error
    raise _changes()


def _account(settings: Settings, query: str) -> Answer:
    if not _READS.match(query):  # nothing else would keep the role from changing what it made
        raise _changes()
    with session(own_connections(settings)) as account:
        return Answer(*account.rows(query))


def _changes() -> WarehouseError:
    return WarehouseError("The statement returns no rows. dvd-rental query reads; it does not change the warehouse.")
