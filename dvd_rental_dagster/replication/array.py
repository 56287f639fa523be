"""Array literals, such as ``{1,NULL,"a b"}``, as JSON.

PostgreSQL documentation, 8.15.6 "Array Input and Output Syntax". Snapshot and stream go through the same function, so
that both write the same bytes. Lower bounds other than one are not kept.
"""

import json

import pyarrow as pa
import pyarrow.compute as pc

_NUMBERS = frozenset({"int2", "int4", "int8", "float4", "float8", "numeric", "oid"})
_DELIMITERS = {"box": ";"}
_NOT_JSON = frozenset({"NaN", "Infinity", "-Infinity"})


def delimiter(element: str) -> str:
    """What stands between the elements in a literal (PostgreSQL documentation, 52.64 "pg_type", typdelim)."""
    return _DELIMITERS.get(element, ",")


def array_to_json(literal: str, element: str) -> str:
    """Turn one array literal into JSON text.

    Numbers stay the digits that the source wrote, booleans become ``true`` and ``false``, all else becomes a string;
    ``element`` is the name of the server's own type that the elements have, empty for any other.
    """
    if literal.startswith("["):
        literal = literal[literal.index("=") + 1 :]
    between = delimiter(element)
    parts: list[str] = []
    position, end = 0, len(literal)
    while position < end:
        character = literal[position]
        if character in {"{", "}", between}:
            parts.append({"{": "[", "}": "]"}.get(character, ","))
            position += 1
        elif character == '"':
            position += 1
            value: list[str] = []
            while literal[position] != '"':
                if literal[position] == "\\":
                    position += 1
                value.append(literal[position])
                position += 1
            position += 1
            parts.append(_quoted("".join(value), element))
        else:
            start = position
            while literal[position] not in {"}", between}:
                position += 1
            parts.append(_bare(literal[start:position], element))
    return "".join(parts)


def _bare(value: str, element: str) -> str:
    if value == "NULL":
        return "null"
    return _quoted(value, element)


def _quoted(value: str, element: str) -> str:
    if element in _NUMBERS and value not in _NOT_JSON:
        return value
    if element == "bool":
        return "true" if value == "t" else "false"
    return json.dumps(value, ensure_ascii=False)


def arrays_to_json(literals: pa.Array, element: str) -> pa.Array:
    """Turn a column of literals into JSON text; each distinct literal is parsed once."""
    encoded = pc.dictionary_encode(literals.cast(pa.string()))
    parsed = [array_to_json(literal, element) for literal in encoded.dictionary.to_pylist()]
    return pc.take(pa.array(parsed, pa.string()), encoded.indices)
