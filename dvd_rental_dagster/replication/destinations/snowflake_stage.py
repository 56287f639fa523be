"""Arrow columns into a temporary table of Snowflake: Parquet files, put into a temporary stage, loaded by COPY.

Every value is staged as text, because what Snowflake makes of Parquet's own timestamps and decimals hangs on options.
A file is made in memory and never on a disk of this machine. It is gone from the stage once it is loaded, and with the
session at the latest (Snowflake's documentation, COPY INTO <table>, "PURGE"; CREATE STAGE, "TEMPORARY").
"""

import secrets
from collections.abc import Iterable, Mapping
from io import BytesIO

import pyarrow as pa

from dvd_rental_dagster.errors import SnowflakeError
from dvd_rental_dagster.replication.destinations.snowflake_session import SnowflakeSession
from dvd_rental_dagster.replication.destinations.snowflake_types import literal, quoted, read

FILE_BYTES = 128 << 20
"""Bytes of Arrow that one file holds, or a batch more; compressed it has the size that COPY works best on."""

_LOADED = 3
"""Where COPY's answer for a file has the number of rows loaded."""


class Stage:
    """A stage of one session's own, made when it is first needed."""

    def __init__(self, session: SnowflakeSession) -> None:
        self._session = session
        self._name = f"LEDGER.DVD_RENTAL_{secrets.token_hex(8).upper()}"
        self._made = False

    def load(self, types: Mapping[str, str], batches: Iterable[list[pa.Array]]) -> tuple[str, int]:
        """Fill a new temporary table whose columns have these types; return its name and its number of rows.

        Each batch has one array a column: texts as ``staged`` makes them, or what casts to such.
        """
        columns = list(types)
        table = self._session.make_temporary(", ".join(f"{quoted(name)} {types[name]}" for name in columns))
        folder = f"@{self._name}/{self._session.number()}/"
        names = [f"c_{number}" for number in range(len(columns))]
        sent = 0
        for number, rows in enumerate(_files(names, batches)):
            self._put(rows, f"{number}.parquet", folder)
            sent += rows.num_rows
        if sent:
            self._copy(table, folder, [read(f"$1:{name}::varchar", types[column]) for name, column in zip(
                names, columns, strict=True
            )], columns, sent)  # fmt: skip
        return table, sent

    def drop(self) -> None:
        """Remove the stage with the files of a load that failed."""
        if self._made:
            self._session.execute(f"drop stage if exists {self._name}")
            self._made = False

    def _put(self, rows: pa.Table, name: str, folder: str) -> None:
        """Upload one file."""
        from pyarrow import parquet  # noqa: PLC0415  # a tenth of a second that no other destination needs

        if not self._made:
            self._session.execute(f"create temporary stage {self._name}")
            self._made = True
        content = BytesIO()
        parquet.write_table(rows, content)
        content.seek(0)
        file = literal(f"file:///{name}")
        self._session.put(f"put {file} {folder} auto_compress = false overwrite = true", content)

    def _copy(self, table: str, folder: str, values: list[str], columns: list[str], sent: int) -> None:
        """Load what was uploaded, all of it or nothing."""
        found = self._session.ask(
            f"copy into {table} ({', '.join(map(quoted, columns))}) from (select {', '.join(values)} from {folder})"
            " file_format = (type = parquet null_if = ()) purge = true"
        )
        loaded = sum(int(answer[_LOADED]) for answer in found)
        if loaded != sent:
            raise SnowflakeError(
                f"Snowflake loaded {loaded} rows of {sent} that were staged in {self._session.place}. What was there "
                "before stays. Run it again."
            )


def _files(names: list[str], batches: Iterable[list[pa.Array]]) -> Iterable[pa.Table]:
    """The batches with rows, as tables of texts of at most so many bytes."""
    gathered: list[pa.RecordBatch] = []
    for arrays in batches:
        if not len(arrays[0]):
            continue
        texts = [values.cast(pa.large_string()) for values in arrays]
        gathered.append(pa.RecordBatch.from_arrays(texts, names))
        if sum(batch.nbytes for batch in gathered) >= FILE_BYTES:
            yield pa.Table.from_batches(gathered)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered)
