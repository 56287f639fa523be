"""What Airbyte has written into the embedded warehouse's file."""

from dvd_rental_dagster.errors import WarehouseError
from dvd_rental_dagster.replication.destinations.duckdb_file import open_for_writing
from dvd_rental_dagster.settings import Settings


def arrived_columns(settings: Settings, schema: str) -> dict[str, frozenset[str]]:
    """The columns of each stream's table in this schema, by the stream's name.

    Raises:
        WarehouseError: a stream has no table there, or the file cannot be read.
    """
    with open_for_writing(settings.duckdb_path) as connection:
        found = connection.execute(
            "select table_name, list(column_name) from duckdb_columns() where schema_name = ? group by table_name",
            [schema],
        ).fetchall()
    tables = {name.lower(): frozenset(columns) for name, columns in found}
    missing = [stream.name for stream in settings.streams if stream.name.lower() not in tables]
    if missing:
        raise WarehouseError(
            f"Airbyte's sync succeeded, but {settings.duckdb_path} has no {schema}.{missing[0]}"
            f"{f' and lacks {len(missing) - 1} tables more' if missing[1:] else ''}. Let the destination of the "
            "connection write into that file, with the schemas raw and history."
        )
    return {stream.name: tables[stream.name.lower()] for stream in settings.streams}
