"""Addresses: first the stores', then the staff's, then the customers'."""

# ruff: noqa: SIM905  # a list of words reads better as a sentence of them
from collections.abc import Iterator

import numpy as np

from dvd_rental_dagster.source.generator.dice import Dice, Integers
from dvd_rental_dagster.source.generator.geography import CITIES, Geography
from dvd_rental_dagster.source.generator.season import CREATED, Row
from dvd_rental_dagster.source.generator.volume import Volume

_STREETS = (
    "Acorn Anchor Bakery Bell Bridge Canal Castle Chapel Cherry Cinema College Ferry Fountain Garden Granary Harbour "
    "Linden Market Meadow Mill Museum Orchard Park Poplar Quarry River Rose School Spring Station Tower Wharf"
).split()
_STREET_KINDS = "Alley Avenue Boulevard Close Drive Lane Parade Place Road Row Square Street Way".split()
_QUARTERS = "North South East West Upper Lower".split()
_WITHOUT_DISTRICT = (25, 381, 514)  # of each 599 customers
_SMALLEST_PHONE = 200_000_000


class Addresses:
    """Where stores, staff and customers live; ``city`` holds the position of each address's city.

    As in the real database, no second line is NULL for stores and staff and empty for customers, stores have no phone,
    neither stores nor staff a postal code, and a few customers no district.
    """

    def __init__(self, dice: Dice, volume: Volume, geography: Geography) -> None:
        self._dice = dice
        self._volume = volume
        self._geography = geography
        cities = np.arange(CITIES)
        sizes = 1 + dice.below("size of city", cities, 12) * dice.below("size of city, again", cities, 12)
        self.city: Integers = dice.choice("city of address", np.arange(volume.addresses), sizes)

    def rows(self) -> Iterator[Row]:
        """Rows of ``address``."""
        indices = np.arange(self._volume.addresses)
        below = self._dice.below
        numbers = below("house number", indices, 1_900) + 1
        streets = below("street", indices, len(_STREETS))
        kinds = below("kind of street", indices, len(_STREET_KINDS))
        quarters = below("quarter", indices, len(_QUARTERS))
        codes = below("postal code", indices, 89_999) + 10_000
        phones = _SMALLEST_PHONE + below("phone", indices, 1 << 32) * 29
        first_staff, first_customer = self._volume.stores, 2 * self._volume.stores
        for i in range(self._volume.addresses):
            city = int(self.city[i])
            yield (
                i + 1,
                f"{numbers[i]} {_STREETS[streets[i]]} {_STREET_KINDS[kinds[i]]}",
                None if i < first_customer else "",
                ""
                if (i - first_customer) % 599 in _WITHOUT_DISTRICT and i >= first_customer
                else f"{_QUARTERS[quarters[i]]} {self._geography.city_names[city]}",
                city + 1,
                "" if i < first_customer else str(codes[i]),
                "" if i < first_staff else str(phones[i]),
                CREATED,
            )
