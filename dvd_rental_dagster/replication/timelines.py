"""The timelines of a server's log: one that is restored or promoted goes on with a timeline of its own.

PostgreSQL documentation, 25.3.6 "Timelines" and 54.4 "Streaming Replication Protocol", TIMELINE_HISTORY. Where a log
forked is all that tells a server that was set back, and has written as much again since, from the one that it was.
"""

from contextlib import closing
from dataclasses import dataclass

import psycopg

from dvd_rental_dagster.replication.lsn import format_lsn, parse_lsn
from dvd_rental_dagster.replication.session import connect_replication

_FIRST = 1
_COMMENT = "#"
_ENDLESS = 1 << 64


@dataclass(frozen=True)
class Timelines:
    """The number of the timeline on which a log goes on, and of those before it number and end, an LSN in bytes."""

    current: int
    ended: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        """Such as ``1@0/30000A0 2``, as the ledger keeps them."""
        return " ".join([*(f"{number}@{format_lsn(end)}" for number, end in self.ended), str(self.current)])

    @classmethod
    def parse(cls, text: str) -> "Timelines":
        """The timelines that a ledger kept."""
        *ended, current = text.split(" ")
        parts = (part.split("@") for part in ended)
        return cls(int(current), tuple((int(number), parse_lsn(end)) for number, end in parts))

    def shared_with(self, other: "Timelines") -> int:
        """LSN in bytes up to which both are the same log, beyond every log where neither has left the other."""
        shared = 0
        for (number, end), (other_number, other_end) in zip(self.parts, other.parts, strict=False):
            if number != other_number:
                return shared
            shared = min(end, other_end)
            if end != other_end:
                return shared
        return shared

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """Number and end of every timeline, in their order; the current one has no end yet."""
        return (*self.ended, (self.current, _ENDLESS))


def read_timelines(url: str, current: int) -> Timelines:
    """Read how the log came to its current timeline; the first one has no history, and nothing is asked.

    Of a server that has lost its history only the current timeline is known, which then shares nothing with another.

    Raises:
        SourceUnreachableError: no connection, or it broke.
    """
    if current == _FIRST:
        return Timelines(current)
    with closing(connect_replication(url)) as connection:
        try:
            cursor = connection.execute(f"TIMELINE_HISTORY {current:d}")
        except psycopg.errors.UndefinedFile:
            return Timelines(current)
        assert cursor.pgresult is not None  # noqa: S101  # the command answers one row
        content = cursor.pgresult.get_value(0, 1) or b""  # declared as bytea by some versions, and never encoded as one
    return Timelines(current, _ended(content.decode(errors="replace")))


def _ended(history: str) -> tuple[tuple[int, int], ...]:
    """The lines of a history: a timeline's number, where it ended, and why, set apart by tabs."""
    lines = (line.split("\t") for line in history.split("\n") if line.strip() and not line.startswith(_COMMENT))
    return tuple((int(number), parse_lsn(end)) for number, end, *_ in lines)
