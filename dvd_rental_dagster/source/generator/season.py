"""When business is done: the two years that a generated database covers, and how busy their days and hours are."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from dvd_rental_dagster.source.generator.dice import Dice, Integers

Row = tuple[Any, ...]  # the values of one row, in the order of its table's columns

FIRST_DAY = date(2024, 1, 1)  # a Monday
DAYS = 731  # to 2025-12-31
WEEKS = -(-DAYS // 7)
DAY = 86_400  # seconds; moments are seconds from the first midnight
END = DAYS * DAY
CREATED = datetime(2023, 12, 1, 9, 30)  # noqa: DTZ001  # the source's timestamps have no zone
POSITION_BITS = 39
UNITS = (
    1 << POSITION_BITS
)  # a position in the season is a number below this one; equal stretches of it hold equal business

# Percent of the average, Monday to Sunday and January to December, and the share of each hour from 9 to 22.
_WEEKDAYS = np.array([78, 76, 84, 94, 134, 152, 120])
_MONTHS = np.array([112, 102, 94, 88, 84, 92, 108, 104, 86, 96, 112, 134])
_OPENING_HOUR = 9
_HOURS = np.array([2, 3, 4, 5, 5, 5, 6, 8, 11, 14, 15, 12, 7, 3])
_YEARLY_GROWTH = 22  # percent
_FRACTIONS = 1 << 20  # of a day


class Season:
    """Turns positions into moments, so that business follows the week, the year and the chain's growth."""

    def __init__(self, dice: Dice) -> None:
        days = np.arange(DAYS)
        months = np.array([(FIRST_DAY + timedelta(days=day)).month for day in range(DAYS)])
        busyness = _WEEKDAYS[days % 7] * _MONTHS[months - 1] * (36_500 + _YEARLY_GROWTH * days)
        busyness = busyness // 1_000 * dice.between("busyness of day", days, 85, 115)
        total = int(busyness.sum())
        self._days = _bounds(UNITS, busyness // (total >> 22))
        self._hours = _bounds(_FRACTIONS, _HOURS)

    def moments(self, positions: Integers) -> Integers:
        """The moment of each position; a later position is never an earlier moment."""
        days = np.searchsorted(self._days, positions, side="right") - 1
        widths = self._days[days + 1] - self._days[days]
        fractions = (positions - self._days[days]) * _FRACTIONS // widths
        hours = np.searchsorted(self._hours, fractions, side="right") - 1
        seconds = (fractions - self._hours[hours]) * 3_600 // (self._hours[hours + 1] - self._hours[hours])
        return days * DAY + (_OPENING_HOUR + hours) * 3_600 + seconds


def _bounds(total: int, weights: Integers) -> Integers:
    return np.concatenate(([0], total * np.cumsum(weights) // int(weights.sum())))
