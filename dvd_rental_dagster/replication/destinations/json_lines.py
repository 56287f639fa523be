"""Rows of a DuckDB table as lines of JSON, in the form of Airbyte's destination "Local JSON".

https://docs.airbyte.com/integrations/destinations/local-json names the three fields of a line, and
https://docs.airbyte.com/understanding-airbyte/supported-data-types says how a value is written. Lines are put together
as text, so that every value keeps its digits: DuckDB's own ``to_json`` sends decimals through a double.
"""

import hashlib
import json
import re
from collections.abc import Mapping

from dvd_rental_dagster.replication.destinations.duckdb_types import quoted
from dvd_rental_dagster.replication.evolution import DROPPED

_PLAIN_CHARACTERS = 150
"""So many of a stream's name are in the file's, which a file system limits to 255 bytes."""
_HASH_DIGITS = 12

_AB_ID = """concat('"_airbyte_ab_id":"', _airbyte_raw_id, '"')"""
_EMITTED_AT = """concat('"_airbyte_emitted_at":', epoch_us(_airbyte_extracted_at) // 1000)"""

_DECIMAL = re.compile(r"decimal\((?P<precision>\d+),(?P<scale>\d+)\)")
_NUMBER = "cast({0} as varchar)"
# Where all digits are behind the point, DuckDB writes none before it, and JSON wants one.
_FRACTION = "if({0} < 0, '-0', '0') || ltrim(cast(abs({0}) as varchar), '0')"
_FLOAT = """
case
    when isfinite({0}) then cast({0} as varchar)
    when isnan({0}) then '"NaN"'
    when {0} > 0 then '"Infinity"'
    when {0} < 0 then '"-Infinity"'
end
"""
# ISO 8601 with microseconds; an era BC stands at the end, as Airbyte has it.
_TIMESTAMP = """
case
    when isfinite({0}) then concat(
        '"', split_part(cast({0} as varchar), ' ', 1), strftime({0}, 'T%H:%M:%S.%f'), '{zone}',
        if(year({0}) > 0, '"', ' BC"')
    )
    else '"' || cast({0} as varchar) || '"'
end
"""
_ANY = "cast(to_json(cast({0} as varchar)) as varchar)"
_TEXTS = {
    "smallint": _NUMBER,
    "integer": _NUMBER,
    "bigint": _NUMBER,
    "boolean": _NUMBER,
    "float": _FLOAT,
    "double": _FLOAT,
    "timestamp": _TIMESTAMP.replace("{zone}", ""),
    "timestamp with time zone": _TIMESTAMP.replace("{0}", "timezone('UTC', {0})").replace("{zone}", "Z"),
    "date": """'"' || replace(cast({0} as varchar), ' (BC)', ' BC') || '"'""",
    "blob": r"""'"\\x' || lower(hex({0})) || '"'""",
    "json": "translate(cast({0} as varchar), chr(10) || chr(13), '  ')",  # an end of line is between two tokens
}


def file_name(stream: str) -> str:
    """The stream's file, as Airbyte names it; where that would not tell the stream from others, a hash follows."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", stream)[:_PLAIN_CHARACTERS]
    if plain != stream:
        plain += "_" + hashlib.sha256(stream.encode()).hexdigest()[:_HASH_DIGITS]
    return f"_airbyte_raw_{plain}.jsonl"


def line(types: Mapping[str, str]) -> str:
    """The expression of one row's line, its end included; ``types`` are the table's columns as DuckDB has them.

    ``_airbyte_data`` has the source's columns and then those of the change, as Airbyte has them of a source with change
    data capture. The contract's other columns stand beside it.
    """
    own = [name for name in types if name.startswith("_airbyte_") and not name.startswith(DROPPED)]
    beside = [name for name in own if name != "_airbyte_raw_id"]
    change = [name for name in types if name.startswith("_ab_cdc_")]
    source = [name for name in types if name not in {*own, *change}]
    data = _joined([_member(name, types[name]) for name in (*source, *change)])
    fields = _joined([_AB_ID, _EMITTED_AT, *(_member(name, types[name]) for name in beside)])
    return f"""concat('{{', {fields}, ',"_airbyte_data":{{', {data}, '}}}}', chr(10))"""


def _joined(members: list[str]) -> str:
    return ", ',', ".join(members)


def _member(name: str, data_type: str) -> str:
    key = json.dumps(name, ensure_ascii=False).replace("'", "''")
    return f"'{key}:', coalesce({_text(data_type).format(quoted(name))}, 'null')"


def _text(data_type: str) -> str:
    """The expression of a value as JSON text, null where the value is; ``{0}`` is the value."""
    if decimal := _DECIMAL.fullmatch(data_type):
        return _FRACTION if decimal["precision"] == decimal["scale"] else _NUMBER
    return _TEXTS.get(data_type, _ANY)
