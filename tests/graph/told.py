"""Looks for secrets in all that a home of the product holds, and in what was printed."""

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote

import duckdb

from dvd_rental_dagster.replication.destinations.duckdb_types import quoted

_SQLITE = b"SQLite format 3\0"
_CREDENTIALS = Path("postgres", "credentials")
_NOT_OURS = (_CREDENTIALS, Path("postgres", "data"))
"""Where the source's passwords are kept, and what the source keeps itself."""


def places_of(secrets: Collection[str], home: Path, *printed: str) -> list[str]:
    """Where one of the secrets stands: files, tables of databases, ``printed``."""
    forms = {form.encode() for secret in secrets for form in _forms(secret)}
    assert forms
    assert all(forms)
    texts = {place for place, content in _contents(home, *printed) if any(form in content for form in forms)}
    return sorted(texts | set(_tables_of_duckdb(home, forms)))


def assert_is_searched(home: Path) -> None:
    """After a run of the whole graph, what is no secret is found where a secret could be."""
    found = set(places_of(["fct_payment"], home))
    databases = {"dagster/history/runs.db: snapshots", "dagster/history/runs/index.db: asset_keys"}
    assert {"logs/dbt/dbt.log", "dbt/manifest.json", "dbt/partial_parse.msgpack", *databases} <= found
    assert any(place.endswith(".db: event_logs") for place in found)


def passwords(home: Path) -> list[str]:
    """Those of the embedded source's roles."""
    return [path.read_text() for path in (home / _CREDENTIALS).iterdir()]


def _forms(secret: str) -> set[str]:
    """As it is, in JSON, in Python's texts, and in an address."""
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")}


def _files(home: Path) -> Iterator[Path]:
    for path in home.rglob("*"):
        if path.is_file() and not any(path.is_relative_to(home / kept) for kept in _NOT_OURS):
            yield path


def _contents(home: Path, *printed: str) -> Iterator[tuple[str, bytes]]:
    yield from (("printed", each.encode()) for each in printed)
    for path in _files(home):
        content = path.read_bytes()
        yield str(path.relative_to(home)), content
        if content.startswith(_SQLITE):
            yield from ((f"{path.relative_to(home)}: {table}", value) for table, value in _values(path))


def _values(path: Path) -> Iterator[tuple[str, bytes]]:
    """A large value is not in one piece in the file; and Dagster compresses the snapshots of its jobs."""
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as database:
        for (table,) in database.execute("select name from sqlite_schema where type = 'table'").fetchall():
            for row in database.execute(f'select * from "{table}"'):
                for value in row:
                    content = value if isinstance(value, bytes) else str(value).encode()
                    yield table, _expanded(content)
    database.close()


def _expanded(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return content


def _tables_of_duckdb(home: Path, forms: Collection[bytes]) -> Iterator[str]:
    """DuckDB compresses its columns."""
    pattern = "|".join("".join(f"\\x{{{ord(each):x}}}" for each in form.decode()) for form in forms)
    for path in _files(home):
        if path.suffix == ".duckdb":
            with duckdb.connect(path, read_only=True) as database:
                for schema, table in database.execute("select schema_name, table_name from duckdb_tables()").fetchall():
                    name = f"{quoted(schema)}.{quoted(table)}"
                    query = f"select bool_or(regexp_matches(held::varchar, ?)) from {name} as held"
                    if database.execute(query, [pattern]).fetchall() == [(True,)]:
                        yield f"{path.relative_to(home)}: {schema}.{table}"
