"""What is replicated: the fifteen streams of DVD Rental, or those that a catalog file names.

The fifteen are the one list from which assets, tables and tests derive. A catalog file is TOML, one ``[[stream]]`` a
table.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dvd_rental_dagster.errors import CatalogError

_HEADER = re.compile(r"\s*\[\[\s*stream\s*\]\]")
_REMEDY = "Mend it, or write it anew: dvd-rental catalog discover --output FILE."
_ABOUT = """\
# What is replicated, one [[stream]] a table; read when DVD_RENTAL_CATALOG names this file.
#
#   name         the table's name in the warehouse: raw.<name>, history.<name>
#   schema       where the table is in the source
#   table        its name there
#   primary_key  the columns that tell rows apart, in the key's order; [] when nothing but the whole row does
#   mode         incremental_deduped_history, incremental_append or full_refresh_overwrite
#
# Delete what shall not be replicated. After a change: dvd-rental source prepare, then dvd-rental sync.
"""


class SyncMode(StrEnum):
    """How a stream lands in ``raw``; the names are Airbyte's."""

    INCREMENTAL_DEDUPED_HISTORY = "incremental_deduped_history"
    INCREMENTAL_APPEND = "incremental_append"
    FULL_REFRESH_OVERWRITE = "full_refresh_overwrite"


@dataclass(frozen=True)
class Stream:
    """One source table and how it is replicated.

    ``name`` is the table's name in the warehouse, and in the source unless ``table`` says another; ``primary_key`` its
    key columns in key order, none for a table without a key.
    """

    name: str
    primary_key: tuple[str, ...]
    namespace: str = "public"
    mode: SyncMode = SyncMode.INCREMENTAL_DEDUPED_HISTORY
    table: str = ""

    @property
    def source_table(self) -> tuple[str, str]:
        """Namespace and name of the table in the source."""
        return self.namespace, self.table or self.name

    @property
    def source_name(self) -> str:
        """The source's table as an error names it."""
        return ".".join(self.source_table)


STREAMS: tuple[Stream, ...] = (
    Stream("actor", ("actor_id",)),
    Stream("address", ("address_id",)),
    Stream("category", ("category_id",)),
    Stream("city", ("city_id",)),
    Stream("country", ("country_id",)),
    Stream("customer", ("customer_id",)),
    Stream("film", ("film_id",)),
    Stream("film_actor", ("actor_id", "film_id")),
    Stream("film_category", ("film_id", "category_id")),
    Stream("inventory", ("inventory_id",)),
    Stream("language", ("language_id",)),
    Stream("payment", ("payment_id",)),
    Stream("rental", ("rental_id",)),
    Stream("staff", ("staff_id",)),
    Stream("store", ("store_id",)),
)
STREAM_NAMES: tuple[str, ...] = tuple(stream.name for stream in STREAMS)


class _Entry(BaseModel):
    """One ``[[stream]]`` of a catalog file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    namespace: str = Field(alias="schema", min_length=1)
    table: str = Field(min_length=1)
    primary_key: tuple[str, ...] = ()
    mode: SyncMode = SyncMode.INCREMENTAL_DEDUPED_HISTORY

    def stream(self) -> Stream:
        """The stream it describes."""
        table = "" if self.table == self.name else self.table
        return Stream(self.name, self.primary_key, self.namespace, self.mode, table)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stream: tuple[_Entry, ...] = Field(min_length=1)


def load_catalog(path: Path) -> tuple[Stream, ...]:
    """Read the streams of a catalog file.

    Raises:
        CatalogError: the file is missing, is no TOML, or describes no replication; the message names line and field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogError(
            f"The catalog {path} cannot be read: {error.strerror}. Write it with: dvd-rental catalog discover "
            f"--output {path}; or name another with DVD_RENTAL_CATALOG."
        ) from error
    except UnicodeDecodeError as error:
        raise CatalogError(f"The catalog {path} is no UTF-8, from its byte {error.start} on. {_REMEDY}") from error
    try:
        streams = tuple(entry.stream() for entry in _File.model_validate(tomllib.loads(text)).stream)
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"The catalog {path} is no TOML: {error}. {_REMEDY}") from error
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        number, field = _place(problem["loc"])
        raise CatalogError(f"{_where(path, text, number)}{field}: {problem['msg']}. {_REMEDY}") from error
    for what, values in (
        ("name", [stream.name.lower() for stream in streams]),
        ("table", [stream.source_table for stream in streams]),
    ):
        for number, value in enumerate(values):
            if value in values[:number]:
                raise CatalogError(
                    f"{_where(path, text, number)}{what}: an earlier stream has the same {what}, and the warehouse "
                    f"folds case. {_REMEDY}"
                )
    return streams


def dump_catalog(
    streams: Sequence[Stream],
    notes: Mapping[str, Sequence[str]] = MappingProxyType({}),
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Write streams as the text of a catalog file.

    Args:
        streams: what to write.
        notes: remarks on streams, by name; they become comments.
        left_out: tables that are no streams, and why; comments too.
    """
    parts = [_ABOUT]
    for stream in streams:
        namespace, table = stream.source_table
        parts.append(
            "\n"
            + "".join(_comment(note) for note in notes.get(stream.name, ()))
            + "[[stream]]\n"
            + f"name = {_text(stream.name)}\n"
            + f"schema = {_text(namespace)}\n"
            + f"table = {_text(table)}\n"
            + f"primary_key = [{', '.join(_text(column) for column in stream.primary_key)}]\n"
            + f"mode = {_text(stream.mode.value)}\n"
        )
    if left_out:
        parts.append("\n# Left out:\n")
        parts += [_comment(f"  {table}: {reason}") for table, reason in left_out.items()]
    return "".join(parts)


def _place(location: Iterable[int | str]) -> tuple[int | None, str]:
    """Which stream of the file, and which field of it, pydantic speaks of."""
    parts = list(location)
    number = parts[1] if len(parts) > 1 and isinstance(parts[1], int) else None
    return number, ".".join(str(part) for part in (parts if number is None else parts[2:])) or "stream"


def _where(path: Path, text: str, number: int | None) -> str:
    """Where in the file a stream begins, by its line where it has a header of its own."""
    if number is None:
        return f"The catalog {path}, "
    headers = [line for line, content in enumerate(text.splitlines(), start=1) if _HEADER.match(content)]
    line = f"line {headers[number]}, " if number < len(headers) else ""
    return f"The catalog {path}, {line}stream {number + 1}, "


def _text(value: str) -> str:
    """A basic string of TOML: JSON's, but for one control character that JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    """A comment on a line of its own, whatever characters a name brings along."""
    return "# " + "".join(character if character.isprintable() else "?" for character in text) + "\n"
