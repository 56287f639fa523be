"""Keeps what is secret out of what is shown: the server's words can repeat what it was sent."""

import json
from typing import Any

from pydantic import SecretStr

_MASK = "**********"
_SHORTEST_LINE = 8
"""Characters of a line, of a key of many lines, that are worth to hide by themselves."""


class Secrecy:
    """Every secret that went to the server, and texts without them."""

    def __init__(self) -> None:
        self._hidden: set[str] = set()

    def hide(self, secret: SecretStr | str) -> str:
        """Note the secret, as it is and in the forms that an answer can repeat it in; its plain value."""
        value = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
        lines = [line.strip() for line in value.splitlines()]
        pieces = {value, value.strip(), *(line for line in lines if len(line) >= _SHORTEST_LINE)}
        self._hidden |= {form for piece in pieces for form in (piece, json.dumps(piece)[1:-1]) if form}
        return value

    def plain(self, value: Any) -> Any:
        """The value as it is sent, at any depth: each secret in it in the clear, and noted."""
        match value:
            case SecretStr():
                return self.hide(value)
            case dict():
                return {name: self.plain(part) for name, part in value.items()}
            case list() | tuple():
                return [self.plain(part) for part in value]
            case _:
                return value

    def redact(self, text: str) -> str:
        """The text with every noted secret masked, the longest first, for one can hold another."""
        for secret in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(secret, _MASK)
        return text
