"""A report as the warehouse has it, and the same question asked in plain SQL at the source."""

from collections import Counter
from pathlib import Path

import duckdb
import psycopg

QUERIES = Path(__file__).parent / "source_queries"
REPORTS = sorted(path.stem for path in QUERIES.glob("*.sql"))
Rows = Counter[tuple[object, ...]]


def report_rows(warehouse: Path, report: str) -> Rows:
    with duckdb.connect(warehouse, read_only=True) as connection:
        return Counter(connection.execute(f"select * from reports.{report}").fetchall())


def source_rows(url: str, report: str) -> Rows:
    with psycopg.connect(url) as connection:
        return Counter(connection.execute((QUERIES / f"{report}.sql").read_text()).fetchall())
