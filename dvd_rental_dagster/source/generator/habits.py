"""The customers: where they live, when they come, how often, and whether they bring things back in time."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import NamedTuple

import numpy as np

from dvd_rental_dagster.source.generator.addresses import Addresses
from dvd_rental_dagster.source.generator.dice import Dice, Integers
from dvd_rental_dagster.source.generator.geography import COUNTRIES, Geography
from dvd_rental_dagster.source.generator.people import names
from dvd_rental_dagster.source.generator.season import CREATED, FIRST_DAY, WEEKS, Row
from dvd_rental_dagster.source.generator.stock import store_sizes
from dvd_rental_dagster.source.generator.volume import Volume


class Habit(NamedTuple):
    """A kind of customer.

    Its share of all, how often it rents, and between which weeks of the season the first and the last visit fall; weeks
    before the season are negative.
    """

    share: int
    frequency: int
    first_week: tuple[int, int]
    last_week: tuple[int, int]


_STAYS = (WEEKS, WEEKS)
_HABITS = (
    Habit(7, 60, (-100, 20), _STAYS),  # champions
    Habit(20, 30, (-80, 60), _STAYS),  # loyal
    Habit(28, 14, (-60, 90), _STAYS),  # regular
    Habit(17, 6, (-40, 80), _STAYS),  # occasional
    Habit(10, 22, (-100, 10), (30, 80)),  # lapsed
    Habit(8, 28, (-60, 10), (78, 96)),  # drifting away
    Habit(10, 24, (WEEKS - 26, WEEKS - 3), _STAYS),  # new
)
_LAPSED = 4
_LATE_PERCENT = np.array([4, 10, 22, 55])
_LATE_SHARES = np.array([30, 38, 22, 10])
_LOYALTY_PERCENT = 82  # of the rentals of a store's copies are by its own customers


class Customers:
    """The customers by position, and who comes to a store in a week.

    ``late_percent`` is the chance that a rental comes back late; ``reluctant`` marks those who often leave unpaid.
    """

    def __init__(self, dice: Dice, volume: Volume, geography: Geography, addresses: Addresses) -> None:
        customers = np.arange(volume.customers)
        self._dice = dice
        self._volume = volume
        self.store = dice.choice("home store", customers, store_sizes(dice, volume))
        self._habit = dice.choice("habit", customers, np.array([habit.share for habit in _HABITS]))
        self._first_week = self._weeks("first week", np.array([habit.first_week for habit in _HABITS]))
        self._last_week = self._weeks("last week", np.array([habit.last_week for habit in _HABITS]))
        self.late_percent = _LATE_PERCENT[dice.choice("lateness", customers, _LATE_SHARES)]
        self.reluctant = dice.below("reluctance", customers, 9) == 0
        country = geography.country_of_city[addresses.city[2 * volume.stores :]]
        self._plan_visits(country)

    def visitors(self, subject: str, rentals: Integers, weeks: Integers, stores: Integers) -> Integers:
        """Who rents, for rentals by position with the week and the store of each."""
        percent = self._dice.below(f"{subject}, loyalty", rentals, 100)
        rows = weeks * self._volume.customers
        home = self._first_of_store[stores], self._first_of_store[stores + 1]
        anywhere = percent >= _LOYALTY_PERCENT
        low = self._visits[rows + np.where(anywhere, 0, home[0])]
        high = self._visits[rows + np.where(anywhere, self._volume.customers, home[1])]
        tickets = low + self._dice.below(subject, rentals, high - low)
        return self._by_store[(np.searchsorted(self._visits, tickets, side="right") - 1) % self._volume.customers]

    def rows(self) -> Iterator[Row]:
        """Rows of ``customer``."""
        volume = self._volume
        inactive = set(np.flatnonzero(self._habit == _LAPSED)[: volume.inactive_customers].tolist())
        before = self._dice.between("days before", np.arange(volume.customers), 1, 6)
        first_days = self._first_week * 7 - before
        for i, (first, last) in enumerate(names(self._dice, "customer", volume.customers)):
            joined = FIRST_DAY + timedelta(days=int(first_days[i]))
            yield (
                i + 1,
                int(self.store[i]) + 1,
                first,
                last,
                f"{first}.{last}@customers.example.org".lower(),
                2 * volume.stores + i + 1,
                True,
                joined,
                max(CREATED, datetime.combine(joined, time(12))),
                0 if i in inactive else 1,
            )

    def _weeks(self, subject: str, ranges: Integers) -> Integers:
        low, high = ranges[self._habit].T
        weeks: Integers = low + self._dice.below(subject, np.arange(len(low)), high - low + 1)
        return weeks

    def _plan_visits(self, country: Integers) -> None:
        """Lay out, week after week, a stretch for each customer as long as he is likely to come, store by store."""
        volume = self._volume
        wealth = self._dice.between("custom of country", np.arange(len(COUNTRIES)), 60, 150)[country]
        zeal = self._dice.between("zeal", np.arange(volume.customers), 50, 150)
        frequency = np.array([habit.frequency for habit in _HABITS])[self._habit] * wealth * zeal // 1_000
        self._by_store = np.argsort(self.store, kind="stable")
        self._first_of_store = np.searchsorted(self.store[self._by_store], np.arange(volume.stores + 1))
        weeks = np.arange(WEEKS)[:, np.newaxis]
        comes = (weeks >= self._first_week) & (weeks <= self._last_week)
        stretches = (comes * frequency)[:, self._by_store]
        self._visits = np.concatenate(([0], np.cumsum(stretches)))
