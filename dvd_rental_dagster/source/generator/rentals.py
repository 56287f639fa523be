"""Rentals and payments, in blocks of scale 1 that hold exactly the counts of the real database."""

from typing import NamedTuple

import numpy as np

from dvd_rental_dagster.source.generator.circulation import Circulation
from dvd_rental_dagster.source.generator.dice import Dice, Flags, Integers
from dvd_rental_dagster.source.generator.films import Films
from dvd_rental_dagster.source.generator.habits import Customers
from dvd_rental_dagster.source.generator.season import DAY, END
from dvd_rental_dagster.source.generator.stock import Stock
from dvd_rental_dagster.source.generator.volume import PAYMENTS_IN_BLOCK, RENTALS_IN_BLOCK, Volume

_UNPAID = 1_452  # rentals of a block without a payment
_FREE = 24  # payments of a block of 0.00
_SHARED_BY = 5  # payments, from as many customers, for one rental of a block
_LATE_DAYS = np.array([34, 24, 15, 9, 6, 4, 3, 2, 1, 2])  # shares of those who are one day late, two days...
_PREPAID_PERCENT = 70
_STAFF_AT_HOME_PERCENT = 88
_LONG_FILM = 140  # minutes


class Rentals(NamedTuple):
    """Rentals in the order of time. Positions count from 0, moments are seconds, ``fee`` is cents for being late.

    ``returned`` is 0 where ``open`` is true.
    """

    position: Integers
    rented: Integers
    copy: Integers
    customer: Integers
    returned: Integers
    staff: Integers
    open: Flags
    price: Integers


class Payments(NamedTuple):
    """Payments, in the order of their rentals. Positions count from 0, moments are seconds, ``amount`` is cents."""

    position: Integers
    customer: Integers
    staff: Integers
    rental: Integers
    amount: Integers
    paid: Integers


class Desk:
    """Where copies meet customers."""

    def __init__(
        self, dice: Dice, volume: Volume, films: Films, stock: Stock, customers: Customers, circulation: Circulation
    ) -> None:
        self._dice = dice
        self._volume = volume
        self._films = films
        self._stock = stock
        self._customers = customers
        self._circulation = circulation

    def rentals(self, block: int) -> Rentals:
        """The rentals of a block, from 0 to the scale less one."""
        position = np.arange(block * RENTALS_IN_BLOCK, (block + 1) * RENTALS_IN_BLOCK)
        copy, rented, deadline, is_open = self._circulation.outings(int(position[0]), int(position[-1]) + 1)
        film, store = self._stock.film[copy], self._stock.store[copy]
        customer = self._customers.visitors("visitor", position, rented // (7 * DAY), store)
        returned = self._returned(position, film, customer, rented, deadline)
        late_days = np.maximum(0, -(-(returned - rented) // DAY) - self._films.duration[film])
        price = self._films.rate[film] + np.where(is_open, 0, 100 * late_days)
        staff = self._staff("staff of rental", position, store)
        return Rentals(position, rented, copy, customer, np.where(is_open, 0, returned), staff, is_open, price)

    def payments(self, block: int) -> Payments:
        """The payments of a block."""
        rentals = self.rentals(block)
        paid_for = self._paid_for(rentals)
        shared, free = self._odd(rentals, paid_for)
        amount = rentals.price.copy()
        amount[free] = 0
        times = paid_for.astype(np.int64)
        times[shared] = _SHARED_BY
        index = np.repeat(np.arange(RENTALS_IN_BLOCK), times)
        position = np.arange(block * PAYMENTS_IN_BLOCK, (block + 1) * PAYMENTS_IN_BLOCK)
        share = np.zeros(PAYMENTS_IN_BLOCK, np.int64)
        share[index == shared] = np.arange(_SHARED_BY)
        settled = np.where(self._prepaid(rentals), rentals.rented, rentals.returned)[index]
        paid = settled + self._dice.below("seconds to payment", position, 240) + 60 * share
        return Payments(
            position=position,
            customer=(rentals.customer[index] + 101 * share) % self._volume.customers,
            staff=self._staff("staff of payment", position, rentals.staff[index]),
            rental=rentals.position[index],
            amount=amount[index],
            paid=np.minimum(paid, END - 1),
        )

    def _returned(
        self, position: Integers, film: Integers, customer: Integers, rented: Integers, deadline: Integers
    ) -> Integers:
        """When copies come back, if they do: never later than an hour before the next rental, nor after the season."""
        below = self._dice.below
        duration = self._films.duration[film]
        # Long films and short terms make for late returns.
        haste = 6 * (self._films.length[film] > _LONG_FILM) + 8 * (duration == self._films.duration.min())
        is_late = below("late", position, 100) < self._customers.late_percent[customer] + haste
        late_days = 1 + self._dice.choice("days late", position, _LATE_DAYS)
        days = np.where(is_late, duration + late_days, 1 + below("days kept", position, duration))
        kept = days * DAY - below("hours kept", position, 20 * 3_600)
        returned: Integers = np.minimum(rented + kept, deadline - 3_600 - below("margin", position, 7_200))
        return returned

    def _staff(self, subject: str, indices: Integers, store: Integers) -> Integers:
        """Mostly the store's own; the stores lend each other a hand."""
        anyone = self._dice.below(f"{subject}, anyone", indices, self._volume.stores)
        return np.where(self._dice.below(subject, indices, 100) < _STAFF_AT_HOME_PERCENT, store, anyone)

    def _prepaid(self, rentals: Rentals) -> Flags:
        """Paid for when rented: what is still out, and most of what comes back in time."""
        in_time = rentals.price == self._films.rate[self._stock.film[rentals.copy]]
        prepays = self._dice.below("prepaid", rentals.position, 100) < _PREPAID_PERCENT
        prepaid: Flags = rentals.open | (in_time & prepays)
        return prepaid

    def _paid_for(self, rentals: Rentals) -> Flags:
        """All but 1,452, more of which than not are open or by reluctant customers."""
        keys = self._dice.roll("unpaid", rentals.position)
        keys >>= (2 * self._customers.reluctant[rentals.customer] + rentals.open).astype(np.uint64)
        paid_for = np.ones(RENTALS_IN_BLOCK, np.bool_)
        paid_for[np.argsort(keys, kind="stable")[:_UNPAID]] = False
        return paid_for

    def _odd(self, rentals: Rentals, paid_for: Flags) -> tuple[int, Integers]:
        """The one rental that five customers paid for, and those that were paid for with nothing."""
        candidates = np.flatnonzero(paid_for)
        order = np.argsort(self._dice.roll("odd payment", rentals.position[candidates]), kind="stable")
        odd = candidates[order[: _FREE + 1]]
        return int(odd[0]), odd[1:]
