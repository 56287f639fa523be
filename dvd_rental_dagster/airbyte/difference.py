"""Where the server differs from what is wanted, field by field, fit to be shown: no secret is in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

_SECRET = "(secret)"  # noqa: S105  # what is shown in its place
_FOREIGN = "(set on the server)"


@dataclass(frozen=True)
class Difference:
    """One field, dotted; what the server has and what is wanted, as text, None for nothing."""

    field: str
    found: str | None
    wanted: str | None


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any], within: str = "") -> list[Difference]:
    """The fields in which ``found`` is not ``wanted``.

    The server masks secrets, so of a secret only its absence is seen. A field that nobody asked for is a difference
    too, told without its value, for nobody here knows whether it is secret.
    """
    result: list[Difference] = []
    for name, value in wanted.items():
        result += _difference(f"{within}{name}", value, found.get(name))
    result += [
        Difference(f"{within}{name}", _FOREIGN, None)
        for name, value in found.items()
        if name not in wanted and value is not None
    ]
    return result


def _difference(field: str, wanted: Any, found: Any) -> list[Difference]:
    match wanted:
        case Mapping():
            return differences(wanted, found if isinstance(found, Mapping) else {}, f"{field}.")
        case SecretStr():
            return [Difference(field, None, _SECRET)] if found is None else []
        case _:
            if _comparable(wanted) == _comparable(found):
                return []
            return [Difference(field, None if found is None else _text(found), _text(wanted))]


def _comparable(value: Any) -> Any:
    """A list without its order, which says nothing in any field of ours."""
    return sorted(map(str, value)) if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
