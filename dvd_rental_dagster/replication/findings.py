"""What to think of a slot's health: four findings, each a number, a verdict, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

from dvd_rental_dagster.replication.health import SlotHealth
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
    """How bad a finding that did not pass is: something to look at, or something that breaks replication."""

    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True)
class Limits:
    """Beyond which a finding does not pass: sizes in bytes, times in seconds."""

    lag_bytes: int
    lag_seconds: int
    retained_bytes: int
    transaction_seconds: int


@dataclass(frozen=True)
class Finding:
    """One verdict; ``measured`` is its number in bytes or seconds, none where there is nothing to measure."""

    subject: Subject
    passed: bool
    severity: Severity
    measured: float | None
    message: str


def judge(health: SlotHealth, limits: Limits) -> tuple[Finding, ...]:
    """One finding a subject, in the order of ``Subject``."""
    return (
        _wal_status(health),
        _lag(health, limits),
        _retained_wal(health, limits),
        _longest_transaction(health, limits),
    )


def _wal_status(health: SlotHealth) -> Finding:
    slot, safe = health.slot, health.safe_wal_bytes
    resync = "load everything again with dvd-rental resync."

    def found(message: str, severity: Severity | None = None) -> Finding:
        return Finding(Subject.WAL_STATUS, severity is None, severity or Severity.ERROR, safe, message)

    if not health.exists:
        again = f", then {resync}" if health.ledger else "."
        return found(f"The source has no replication slot {slot}. Run dvd-rental source prepare{again}", Severity.ERROR)
    if health.is_lost:
        return found(
            f"Replication slot {slot} is lost ({health.invalidation_reason or 'wal_removed'}): the server let go of "
            f"log that had not been read. Drop it with select pg_drop_replication_slot('{slot}'), run "
            f"dvd-rental source prepare, and {resync}",
            Severity.ERROR,
        )
    if health.has_gap:
        assert health.ledger is not None  # noqa: S101  # a gap is one between slot and ledger
        assert health.confirmed_flush_lsn is not None  # noqa: S101
        return found(
            f"Replication slot {slot} stands at {format_lsn(health.confirmed_flush_lsn)}, beyond the warehouse's "
            f"{format_lsn(health.ledger.lsn)}: it was made again or read by someone else, and the changes between are "
            f"gone. To have them, {resync}",
            Severity.ERROR,
        )
    raise_size = "Run dvd-rental sync, or raise max_slot_wal_keep_size at the source."
    if health.wal_status == "unreserved":
        return found(
            f"Replication slot {slot} is about to be lost: the next checkpoint may remove log that it has not read. "
            f"{raise_size}",
            Severity.ERROR,
        )
    if safe is not None and health.retained_bytes is not None and safe < health.retained_bytes:
        return found(
            f"Replication slot {slot} has used more than half of what max_slot_wal_keep_size allows: it keeps "
            f"{_size(health.retained_bytes)} of log, and after {_size(safe)} more it may be lost. {raise_size}",
            Severity.WARN,
        )
    reader = f", read by server process {health.active_pid}" if health.active_pid is not None else ""
    return found(f"Replication slot {slot} is {health.wal_status}{reader}.")


def _lag(health: SlotHealth, limits: Limits) -> Finding:
    size, seconds = health.lag_bytes, health.lag_seconds
    if size is None:
        return _unmeasured(Subject.LAG, health)
    passed = size <= limits.lag_bytes and (seconds is None or seconds <= limits.lag_seconds)
    since = f", and the last sync was {seconds:.0f} s ago" if seconds else ""
    message = f"{_size(size)} of log are not read yet{since}."
    if not passed:
        message += (
            f" The limits are {_size(limits.lag_bytes)} and {limits.lag_seconds} s. Run dvd-rental sync, and look why "
            "no run of the graph did: dvd-rental ui."
        )
    return Finding(Subject.LAG, passed, Severity.WARN, size, message)


def _retained_wal(health: SlotHealth, limits: Limits) -> Finding:
    """Log is kept because it is unread, or because a transaction that began in it is open: the remedies differ."""
    size = health.retained_bytes
    if size is None:
        return _unmeasured(Subject.RETAINED_WAL, health)
    passed = size <= limits.retained_bytes
    message = f"The source keeps {_size(size)} of log for slot {health.slot}."
    if not passed:
        unread = health.lag_bytes or 0
        message = f"{message} The limit is {_size(limits.retained_bytes)}; {_size(unread)} of it are not read yet."
        if unread > size // 2:
            message += " Run dvd-rental sync."
        elif health.transaction is not None:
            message += f" The rest is kept for an open transaction. {_end(health)}"
        else:
            message += " The server lets go of the rest after the next sync and checkpoint: dvd-rental sync."
    return Finding(Subject.RETAINED_WAL, passed, Severity.ERROR, size, message)


def _longest_transaction(health: SlotHealth, limits: Limits) -> Finding:
    subject = Subject.LONGEST_TRANSACTION
    transaction = health.transaction
    if transaction is None:
        return Finding(
            subject, passed=True, severity=Severity.WARN, measured=0.0, message="No writing transaction is open."
        )
    seconds, who = transaction.seconds, f"{_who(health)} has had a transaction open"
    if seconds is None:
        return Finding(
            subject,
            passed=False,
            severity=Severity.WARN,
            measured=None,
            message=f"{who}, and {health.reader} may not see since when. "
            f"Let it: grant pg_read_all_stats to {health.reader}.",
        )
    passed = seconds <= limits.transaction_seconds
    message = f"{who} for {seconds:.0f} s."
    if not passed:
        message += (
            f" The limit is {limits.transaction_seconds} s: the source keeps all log since it began, and no snapshot "
            f"can be taken. {_end(health)}"
        )
    return Finding(subject, passed, Severity.WARN, seconds, message)


def _unmeasured(subject: Subject, health: SlotHealth) -> Finding:
    return Finding(
        subject,
        passed=False,
        severity=Severity.WARN,
        measured=None,
        message=f"Slot {health.slot} has no place in the log to measure from; wal_status tells what it lacks.",
    )


def _who(health: SlotHealth) -> str:
    transaction = health.transaction
    assert transaction is not None  # noqa: S101  # asked only where there is one
    if transaction.gid is not None:
        return f"{transaction.role} by the prepared transaction {transaction.gid!r}"
    return (
        f"Process {transaction.pid} of {transaction.role or 'the server'} ({transaction.state or 'state not visible'})"
    )


def _end(health: SlotHealth) -> str:
    transaction = health.transaction
    assert transaction is not None  # noqa: S101  # asked only where there is one
    if transaction.gid is not None:
        return f"End it with commit prepared '{transaction.gid}' or rollback prepared '{transaction.gid}'."
    return f"Let it end, or end it with select pg_terminate_backend({transaction.pid})."


def _size(size: int) -> str:
    """Bytes in PostgreSQL's units, which count by 1024."""
    amount, unit = float(size), 0
    while amount >= _KIBI and unit < len(_UNITS) - 1:
        amount, unit = amount / _KIBI, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 or amount >= 10 else f"{amount:.1f} {_UNITS[unit]}"  # noqa: PLR2004
