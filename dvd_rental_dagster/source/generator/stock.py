"""The copies on the shelves: which film, which store, and how often each is rented."""

import numpy as np

from dvd_rental_dagster.source.generator.dice import Dice, Integers, apportion
from dvd_rental_dagster.source.generator.films import Films
from dvd_rental_dagster.source.generator.volume import Volume


class Stock:
    """The rows of inventory by position, as positions of ``film`` and ``store``; ``turns`` is the rentals of each copy.

    A film has at least two copies where it has any, and more the more popular it is. One copy is never rented. No copy
    has more than 40 turns, which leaves each of them days to be watched.
    """

    def __init__(self, dice: Dice, volume: Volume, films: Films) -> None:
        held = np.delete(np.arange(volume.films), films.without_copies())
        copies_of_film = 2 + apportion(volume.copies - 2 * len(held), films.popularity[held])
        copies = np.arange(volume.copies)
        self.film: Integers = np.repeat(held, copies_of_film)
        self.store = dice.choice("store of copy", copies, store_sizes(dice, volume))
        appeal = films.popularity[self.film] * dice.between("appeal of copy", copies, 70, 130) // 128
        never_rented = int(dice.below("copy never rented", np.arange(1), volume.copies)[0])
        rented = (copies != never_rented).astype(np.int64)
        self.turns = rented + apportion(volume.rentals - volume.copies + 1, (1 + appeal) * rented)


def store_sizes(dice: Dice, volume: Volume) -> Integers:
    """Weights of the stores: the first is the largest."""
    stores = np.arange(volume.stores)
    return 600 + 400 // (1 + stores) - dice.below("size of store", stores, 100)
