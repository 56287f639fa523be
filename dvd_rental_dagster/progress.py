"""How long work tells whoever waits for it how far it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Progress(Protocol):
    """Hears of long work: what is being done, how much of it, and of how much where that is known."""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Take note."""


def silent(what: str, done: int, total: int | None) -> None:
    """Tell nobody."""
    del what, done, total


_listener: ContextVar[Progress] = ContextVar("progress listener", default=silent)


@contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """Make this the listener, for assets that run in this process."""
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)


def listener() -> Progress:
    """Whoever listens now; nobody unless ``listening`` says so."""
    return _listener.get()
