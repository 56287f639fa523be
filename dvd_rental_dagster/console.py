"""What the command line shows: tables, progress and errors; plain lines where there is no terminal."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from dvd_rental_dagster.progress import Progress

_PLAIN_WIDTH = 160
"""Columns where there is no terminal to ask."""

out = Console(highlight=False)
if not out.is_terminal:
    out.width = _PLAIN_WIDTH
err = Console(stderr=True, highlight=False)


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on a terminal's standard error; elsewhere a line for each new thing that is being done."""
    if not err.is_terminal:
        yield _lines()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("Starting", total=None)
        yield _bar(bar, task)


def _bar(bar: RichProgress, task: TaskID) -> Progress:
    def tell(what: str, done: int, total: int | None) -> None:
        bar.update(task, description=what, completed=done, total=total)

    return tell


def _lines() -> Progress:
    seen: set[str] = set()

    def tell(what: str, done: int, total: int | None) -> None:
        del done, total
        if what not in seen:
            seen.add(what)
            err.print(what, markup=False)

    return tell


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], form: Format, title: str | None = None) -> None:
    """Print rows as a table, as CSV with a header, or as a JSON array of objects."""
    match form:
        case Format.TABLE:
            out.print(_table(columns, rows, title), soft_wrap=not out.is_terminal)
        case Format.CSV:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
        case Format.JSON:
            objects = [dict(zip(columns, row, strict=True)) for row in rows]
            sys.stdout.write(json.dumps(objects, default=_plain, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    """A value that JSON has no type for: an exact number where a double holds it, else text."""
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        return float(value)
    return str(value)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float | Decimal | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    return table
