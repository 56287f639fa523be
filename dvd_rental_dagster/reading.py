"""Questions to what was built: the published file of DuckDB, or Snowflake itself."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from dvd_rental_dagster.errors import WarehouseError, one_line
from dvd_rental_dagster.publication import published_warehouse
from dvd_rental_dagster.settings import Settings, Warehouse
from dvd_rental_dagster.snowflake.session import own_connections, session


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
    _check_reads(query)
    with session(own_connections(settings)) as account:
        return Answer(*account.rows(query))


def _check_reads(query: str) -> None:
    """Make sure that a query for Snowflake is one statement that reads, as far as its text tells.

    Nothing else keeps the role from changing what it made. What a function does that the query calls is not known here.

    Raises:
        WarehouseError: it is another statement, or several, or none that is understood.
    """
    from sqlglot import errors, exp, parse  # noqa: PLC0415  # for Snowflake alone

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what is refused here
    try:
        statements = parse(query, dialect="snowflake")
    except (errors.ParseError, errors.TokenError) as error:
        raise WarehouseError(
            "The query is not understood as one that reads. Correct it, or ask in a worksheet of Snowflake's: "
            f"{one_line(error)}"
        ) from error
    # Where other databases have an operator for JSON, `->>` pipes a statement's result into the next statement.
    reads = [
        isinstance(statement, exp.Query | exp.Values | exp.Show | exp.Describe)
        and not statement.find(exp.DML, exp.JSONExtractScalar)
        for statement in statements
    ]
    if reads != [True]:
        raise _changes()


def _changes() -> WarehouseError:
    return WarehouseError("The statement returns no rows. dvd-rental query reads; it does not change the warehouse.")
