"""What to think of a slot's health: four findings, each a verdict, its numbers, and what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from dvd_rental_dagster.replication.health import OpenTransaction, SlotHealth
from dvd_rental_dagster.replication.lsn import format_lsn

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_KIBI = 1024


class Subject(StrEnum):
    """What a finding is about."""

    WAL_STATUS = "wal_status"
    LAG = "lag"
    RETAINED_WAL = "retained_wal"
    LONGEST_TRANSACTION = "longest_transaction"


class Severity(StrEnum):
    """How bad a finding is: something to look at, or something that breaks replication."""

    WARN = "warn"
    ERROR = "error"


_RANKS = (None, Severity.WARN, Severity.ERROR)


@dataclass(frozen=True)
class Limits:
    """Beyond which a finding does not pass: sizes in bytes, times in seconds."""

    lag_bytes: int
    lag_seconds: int
    retained_bytes: int
    transaction_seconds: int


@dataclass(frozen=True)
class Finding:
    """One verdict: no severity when all is well. ``numbers`` are what was measured and its limits, named with units."""

    subject: Subject
    severity: Severity | None
    message: str
    numbers: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether nothing needs looking after."""
        return self.severity is None


@dataclass(frozen=True)
class Remedies:
    """What helps with a slot, by who reads it; each a clause in the imperative, without capital and full stop.

    ``sync`` takes what waits, ``prepare`` makes the slot, ``reload`` loads everything again. Where ``ledger`` is false
    nobody knows whether anything was loaded, and it is taken to have been.
    """

    sync: str = "run dvd-rental sync"
    prepare: str = "run dvd-rental source prepare"
    reload: str = "load everything again with dvd-rental resync"
    ledger: bool = True


EMBEDDED = Remedies()
"""Of a slot that the embedded engine reads."""


def judge(health: SlotHealth, limits: Limits, remedies: Remedies = EMBEDDED) -> tuple[Finding, ...]:
    """One finding a subject, in the order of ``Subject``."""
    return (
        _wal_status(health, remedies),
        _lag(health, limits, remedies),
        _retained_wal(health, limits, remedies),
        _longest_transaction(health, limits),
    )


def together(found: Mapping[str, Sequence[Finding]]) -> tuple[Finding, ...]:
    """One finding a subject from those of each slot: the worst verdict, every message, each slot's numbers by its name.

    Transactions are the server's, so what one slot's finding tells of them is told once.
    """
    return tuple(_joined(dict(zip(found, findings, strict=True))) for findings in zip(*found.values(), strict=True))


def _joined(findings: dict[str, Finding]) -> Finding:
    first = next(iter(findings.values()))
    if len(findings) == 1 or first.subject is Subject.LONGEST_TRANSACTION:
        return first
    return replace(
        first,
        severity=max((finding.severity for finding in findings.values()), key=_RANKS.index),
        message=" ".join(finding.message for finding in findings.values()),
        numbers={f"{slot}/{name}": number for slot, each in findings.items() for name, number in each.numbers.items()},
    )


def _wal_status(health: SlotHealth, remedies: Remedies) -> Finding:
    severity, message = _state(health, remedies)
    return Finding(Subject.WAL_STATUS, severity, message, _known(safe_wal_bytes=health.safe_wal_bytes))


def _state(health: SlotHealth, remedies: Remedies) -> tuple[Severity | None, str]:
    slot, safe = health.slot, health.safe_wal_bytes
    raise_size = f"{_capital(remedies.sync)}, or raise max_slot_wal_keep_size at the source."
    if not health.exists:
        again = "" if remedies.ledger and not health.ledger else f", then {remedies.reload}"
        return Severity.ERROR, f"The source has no replication slot {slot}. {_capital(remedies.prepare)}{again}."
    if health.is_lost:
        return Severity.ERROR, (
            f"Replication slot {slot} is lost ({health.invalidation_reason or 'wal_removed'}): the server no longer "
            f"keeps the log that it has not read. Drop it with select pg_drop_replication_slot('{slot}'), "
            f"{remedies.prepare}, and {remedies.reload}."
        )
    if gap := health.gap:
        return Severity.ERROR, (
            f"Replication slot {slot} stands at {format_lsn(gap[1])}, beyond the warehouse's {format_lsn(gap[0])}: it "
            "was made again or read by someone else, and the changes between are gone. To have them, "
            f"{remedies.reload}."
        )
    if health.wal_status == "unreserved":
        return Severity.ERROR, (
            f"Replication slot {slot} is about to be lost: the next checkpoint may remove log that it has not read. "
            f"{raise_size}"
        )
    if safe is not None and health.retained_bytes is not None and safe < health.retained_bytes:
        return Severity.WARN, (
            f"Replication slot {slot} has used more than half of what max_slot_wal_keep_size allows: it keeps "
            f"{_size(health.retained_bytes)} of log, and after {_size(safe)} more it may be lost. {raise_size}"
        )
    reader = f", read by server process {health.active_pid}" if health.active_pid is not None else ""
    return None, f"Replication slot {slot} is {health.wal_status}{reader}."


def _lag(health: SlotHealth, limits: Limits, remedies: Remedies) -> Finding:
    size, seconds = health.lag_bytes, health.lag_seconds
    if size is None:
        return _unmeasured(Subject.LAG, health)
    numbers = _known(
        lag_bytes=size, lag_seconds=seconds, limit_bytes=limits.lag_bytes, limit_seconds=limits.lag_seconds
    )
    since = f", and the last sync was {seconds:.0f} s ago" if seconds else ""
    message = f"{_size(size)} of log are not read yet through slot {health.slot}{since}."
    if size <= limits.lag_bytes and (seconds or 0) <= limits.lag_seconds:
        return Finding(Subject.LAG, None, message, numbers)
    message += (
        f" The limits are {_size(limits.lag_bytes)} and {limits.lag_seconds} s. {_capital(remedies.sync)}, and look "
        "why no run of the graph did: dvd-rental ui."
    )
    return Finding(Subject.LAG, Severity.WARN, message, numbers)


def _retained_wal(health: SlotHealth, limits: Limits, remedies: Remedies) -> Finding:
    """Log is kept because it is unread, or because a transaction that began in it is open: the remedies differ."""
    size, unread = health.retained_bytes, health.lag_bytes or 0
    if size is None:
        return _unmeasured(Subject.RETAINED_WAL, health)
    numbers = _known(retained_bytes=size, limit_bytes=limits.retained_bytes)
    message = f"The source keeps {_size(size)} of log for slot {health.slot}."
    if size <= limits.retained_bytes:
        return Finding(Subject.RETAINED_WAL, None, message, numbers)
    if unread > size // 2:
        remedy = f"{_capital(remedies.sync)}."
    elif health.transaction is not None:
        remedy = f"The rest is kept for an open transaction. {_end(health.transaction)}"
    else:
        remedy = f"The server lets go of the rest after its next checkpoint and the sync behind it: {remedies.sync}."
    message += f" The limit is {_size(limits.retained_bytes)}; {_size(unread)} of it are not read yet. {remedy}"
    return Finding(Subject.RETAINED_WAL, Severity.ERROR, message, numbers)


def _longest_transaction(health: SlotHealth, limits: Limits) -> Finding:
    subject, transaction = Subject.LONGEST_TRANSACTION, health.transaction
    if transaction is None:
        return Finding(subject, None, "No transaction that has written is open.", {})
    seconds, who = transaction.seconds, f"{_who(transaction)} has had a transaction open"
    numbers = _known(seconds=seconds, limit_seconds=limits.transaction_seconds, pid=transaction.pid)
    if seconds is None:
        message = (
            f"{who}, and {health.reader} may not see since when. Let it: grant pg_read_all_stats to {health.reader}."
        )
        return Finding(subject, Severity.WARN, message, numbers)
    message = f"{who} for {seconds:.0f} s."
    if seconds <= limits.transaction_seconds:
        return Finding(subject, None, message, numbers)
    message += (
        f" The limit is {limits.transaction_seconds} s: the source keeps all log since it began, and no snapshot "
        f"can be taken. {_end(transaction)}"
    )
    return Finding(subject, Severity.WARN, message, numbers)


def _unmeasured(subject: Subject, health: SlotHealth) -> Finding:
    message = f"Slot {health.slot} has no place in the log to measure from; wal_status tells what it lacks."
    return Finding(subject, Severity.WARN, message, {})


def _capital(clause: str) -> str:
    return clause[0].upper() + clause[1:]


def _known(**numbers: float | None) -> dict[str, float]:
    return {name: number for name, number in numbers.items() if number is not None}


def _who(transaction: OpenTransaction) -> str:
    if transaction.gid is not None:
        return f"{transaction.role}, with {transaction.gid!r} prepared,"
    state = transaction.state or "state not visible"
    return f"Process {transaction.pid} of {transaction.role or 'the server'} ({state})"


def _end(transaction: OpenTransaction) -> str:
    if transaction.gid is not None:
        return f"End it with commit prepared '{transaction.gid}' or rollback prepared '{transaction.gid}'."
    return f"Let it end, or end it with select pg_terminate_backend({transaction.pid})."


def _size(size: int) -> str:
    """Bytes in PostgreSQL's units, which count by 1024."""
    amount, unit = float(size), 0
    while amount >= _KIBI and unit < len(_UNITS) - 1:
        amount, unit = amount / _KIBI, unit + 1
    return f"{amount:.{1 if unit else 0}f} {_UNITS[unit]}"
