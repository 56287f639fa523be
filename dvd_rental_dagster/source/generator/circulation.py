"""Which copy goes out when: every rental of the season in the order of time, before anybody rents it."""

from typing import NamedTuple

import numpy as np

from dvd_rental_dagster.source.generator.dice import Dice, Flags, Integers
from dvd_rental_dagster.source.generator.season import END, POSITION_BITS, UNITS, Season
from dvd_rental_dagster.source.generator.stock import Stock
from dvd_rental_dagster.source.generator.volume import Volume

_TURN_BITS = 63 - POSITION_BITS  # enough for the 16,044,000 turns at scale 1000
_TURNS_AT_ONCE = 1 << 18


class Outings(NamedTuple):
    """Consecutive rentals: the copy's position in the stock, when it goes out, and until when it must be back.

    ``open`` marks the copies that have not come back by the end of the season.
    """

    copy: Integers
    moment: Integers
    deadline: Integers
    open: Flags


class Circulation:
    """The turns of all copies, merged.

    A copy's n turns begin at positions spread over the season: each falls at random into the first half of one of n
    equal stretches, and the whole comb is shifted at random, round the end. So two turns of one copy are never closer
    than 1/2n of the season, and the next one is known without looking for it. The only thing held for all rentals at
    once is a sorted array of 8 bytes for each.
    """

    def __init__(self, dice: Dice, volume: Volume, season: Season, stock: Stock) -> None:
        self._dice = dice
        self._season = season
        self._first_turn = np.concatenate(([0], np.cumsum(stock.turns)))
        self._open_from = volume.rentals - (volume.open_rentals - volume.lost_copies)
        self._turns = np.empty(volume.rentals, np.int64)
        last = self._fill(stock.turns)
        self._turns.sort()
        self._lost = self._lose(volume, last)

    def outings(self, start: int, stop: int) -> Outings:
        """The rentals from the ``start``-th in time to before the ``stop``-th."""
        positions, turns = np.divmod(self._turns[start:stop], 1 << _TURN_BITS)
        copies = np.searchsorted(self._first_turn, turns, side="right") - 1
        firsts, ends = self._first_turn[copies], self._first_turn[copies + 1]
        following = self._positions(copies, np.where(turns + 1 == ends, firsts, turns + 1))
        is_last = following <= positions
        deadlines = np.where(is_last, END, self._season.moments(following))
        is_open = (np.arange(start, stop) >= self._open_from) | (is_last & self._lost[copies])
        return Outings(copies, self._season.moments(positions), deadlines, is_open)

    def _positions(self, copies: Integers, turns: Integers) -> Integers:
        """The position in the season of some turns of some copies."""
        firsts = self._first_turn[copies]
        shift = (self._dice.roll("shift of copy", copies) >> np.uint64(64 - POSITION_BITS)).astype(np.int64)
        start = (self._dice.roll("start of turn", turns) >> np.uint64(65 - POSITION_BITS)).astype(np.int64)
        positions: Integers = ((turns - firsts) * UNITS + shift + start) // (self._first_turn[copies + 1] - firsts)
        return positions % UNITS

    def _fill(self, counts: Integers) -> Integers:
        """Write all turns, unsorted; return the position of each copy's last one, 0 where it has none."""
        last = np.zeros(len(counts), np.int64)
        for start in range(0, len(self._turns), _TURNS_AT_ONCE):
            turns = np.arange(start, min(start + _TURNS_AT_ONCE, len(self._turns)))
            copies = np.searchsorted(self._first_turn, turns, side="right") - 1
            positions = self._positions(copies, turns)
            np.maximum.at(last, copies, positions)
            self._turns[turns] = (positions << _TURN_BITS) | turns
        return last

    def _lose(self, volume: Volume, last: Integers) -> Flags:
        """Choose copies whose last turn lies well before the end, spread over the stock."""
        candidates = np.flatnonzero((last > 0) & (last < UNITS * 9 // 10))
        lost = np.zeros(len(last), np.bool_)
        lost[candidates[np.arange(volume.lost_copies) * len(candidates) // volume.lost_copies]] = True
        return lost
