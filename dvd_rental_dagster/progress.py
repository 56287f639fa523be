"""How long work tells whoever waits for it how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Hears of long work: what is being done, how much of it, and of how much where that is known."""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Take note."""


def silent(what: str, done: int, total: int | None) -> None:
    """Tell nobody."""
    del what, done, total
