"""The large tables as PostgreSQL's binary COPY format, whole blocks at a time (PostgreSQL's documentation: COPY).

Each row is a number of fields, and each field its length and its bytes; all fields here have a fixed width, so that a
block of rows is one array of a packed structure and is written as it lies in memory.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dvd_rental_dagster.source.generator.dice import Integers
from dvd_rental_dagster.source.generator.rentals import Payments, Rentals
from dvd_rental_dagster.source.generator.season import CREATED, FIRST_DAY
from dvd_rental_dagster.source.generator.stock import Stock

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
TRAILER = b"\xff\xff"

_SMALLINT, _INTEGER, _TIMESTAMP = ">i2", ">i4", ">i8"
_NUMERIC = [(name, ">i2") for name in ("digits", "weight", "sign", "scale", "whole", "fraction")]
_NULL = -1
_COPIES_AT_ONCE = 1 << 16

_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001  # of PostgreSQL's timestamps, which count microseconds
_SEASON_OFFSET = (FIRST_DAY - _EPOCH.date()).days * 86_400


class Block(NamedTuple):
    """Rows of one table: how many, and their bytes."""

    rows: int
    data: bytes


def inventory_blocks(stock: Stock) -> Iterator[Block]:
    """Rows of ``inventory``, a part at a time."""
    for first in range(0, len(stock.film), _COPIES_AT_ONCE):
        film = stock.film[first : first + _COPIES_AT_ONCE]
        rows = _rows(len(film), inventory_id=_INTEGER, film_id=_SMALLINT, store_id=_SMALLINT, last_update=_TIMESTAMP)
        rows["inventory_id"] = np.arange(first + 1, first + 1 + len(film))
        rows["film_id"] = film + 1
        rows["store_id"] = stock.store[first : first + _COPIES_AT_ONCE] + 1
        rows["last_update"] = (CREATED - _EPOCH) // timedelta(microseconds=1)
        yield Block(len(rows), rows.tobytes())


def rental_block(rentals: Rentals) -> Block:
    """Rows of ``rental``; those that are open, with a null and so of another width, come last."""
    returned = np.flatnonzero(~rentals.open)
    still_open = np.flatnonzero(rentals.open)
    data = _rental_rows(rentals, returned, _TIMESTAMP) + _rental_rows(rentals, still_open, None)
    return Block(len(rentals.position), data)


def payment_block(payments: Payments) -> Block:
    """Rows of ``payment``."""
    rows = _rows(
        len(payments.position),
        payment_id=_INTEGER,
        customer_id=_SMALLINT,
        staff_id=_SMALLINT,
        rental_id=_INTEGER,
        amount=_NUMERIC,
        payment_date=_TIMESTAMP,
    )
    rows["payment_id"] = payments.position + 1
    rows["customer_id"] = payments.customer + 1
    rows["staff_id"] = payments.staff + 1
    rows["rental_id"] = payments.rental + 1
    amount = rows["amount"]
    amount["digits"], amount["scale"] = 2, 2  # a digit is four decimals: one before the point, one behind
    amount["whole"], cents = np.divmod(payments.amount, 100)
    amount["fraction"] = cents * 100
    rows["payment_date"] = _timestamps(payments.paid)
    return Block(len(rows), rows.tobytes())


def _rental_rows(rentals: Rentals, chosen: Integers, return_type: str | None) -> bytes:
    rows = _rows(
        len(chosen),
        rental_id=_INTEGER,
        rental_date=_TIMESTAMP,
        inventory_id=_INTEGER,
        customer_id=_SMALLINT,
        return_date=return_type,
        staff_id=_SMALLINT,
        last_update=_TIMESTAMP,
    )
    rows["rental_id"] = rentals.position[chosen] + 1
    rows["rental_date"] = _timestamps(rentals.rented[chosen])
    rows["inventory_id"] = rentals.copy[chosen] + 1
    rows["customer_id"] = rentals.customer[chosen] + 1
    if return_type:
        rows["return_date"] = _timestamps(rentals.returned[chosen])
    rows["staff_id"] = rentals.staff[chosen] + 1
    rows["last_update"] = _timestamps(np.maximum(rentals.rented, rentals.returned)[chosen])
    return rows.tobytes()


def _rows(count: int, **columns: DTypeLike | None) -> NDArray[np.void]:
    """Rows of zeros but for the number of fields and their lengths; a column of no type is null in all."""
    fields: list[tuple[str, DTypeLike]] = [("fields", ">i2")]
    for name, column in columns.items():
        fields.append((f"length of {name}", ">i4"))
        if column is not None:
            fields.append((name, column))
    rows: NDArray[np.void] = np.zeros(count, np.dtype(fields))
    rows["fields"] = len(columns)
    for name, column in columns.items():
        rows[f"length of {name}"] = _NULL if column is None else np.dtype(column).itemsize
    return rows


def _timestamps(seconds: Integers) -> Integers:
    return (seconds + _SEASON_OFFSET) * 1_000_000
