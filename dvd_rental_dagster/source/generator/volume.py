"""How many rows each table has at a scale."""

from dataclasses import dataclass
from functools import cached_property
from math import isqrt

from dvd_rental_dagster.catalog import STREAM_NAMES
from dvd_rental_dagster.errors import SourceError
from dvd_rental_dagster.source.generator.geography import CITIES, COUNTRIES
from dvd_rental_dagster.source.generator.words import CATEGORIES, LANGUAGES

RENTALS_IN_BLOCK = 16_044  # rentals and payments are made in blocks of scale 1, one for each unit of scale
PAYMENTS_IN_BLOCK = 14_596
OPEN_IN_BLOCK = 183

_LARGEST_SCALE = 1_000
_MOST_CUSTOMERS = 32_000  # customer_id and address_id are smallint where they are referred to


@dataclass(frozen=True)
class Volume:
    """The size of a generated database.

    Scale 1 has the row counts of the real one. Rentals, payments and inventory are multiples of them at every scale.
    Customers are too, up to 32,000 (scale 54 and above): the keys that refer to them are smallint, so from there on
    the customers rent more often instead. Films, actors and stores, with their staff, grow by the square root of the
    scale, as a chain does that opens more shops and keeps more copies. Geography, categories and languages stay.
    """

    scale: int

    def __post_init__(self) -> None:
        if not 1 <= self.scale <= _LARGEST_SCALE:
            raise SourceError(f"Scale {self.scale} cannot be generated: it must be from 1 to {_LARGEST_SCALE}.")

    @cached_property
    def rentals(self) -> int:
        """Rentals, in and out."""
        return RENTALS_IN_BLOCK * self.scale

    @cached_property
    def open_rentals(self) -> int:
        """Rentals whose copy has not come back."""
        return OPEN_IN_BLOCK * self.scale

    @cached_property
    def lost_copies(self) -> int:
        """Of the open rentals, those that have been open for months."""
        return 33 * self.scale

    @cached_property
    def payments(self) -> int:
        """Payments."""
        return PAYMENTS_IN_BLOCK * self.scale

    @cached_property
    def copies(self) -> int:
        """Rows of inventory."""
        return 4_581 * self.scale

    @cached_property
    def customers(self) -> int:
        """Customers, with one address each."""
        return min(599 * self.scale, _MOST_CUSTOMERS)

    @cached_property
    def inactive_customers(self) -> int:
        """Customers whose ``active`` is 0."""
        return self.customers * 15 // 599

    @cached_property
    def stores(self) -> int:
        """Stores, with one member of staff each, who manages it."""
        return isqrt(4 * self.scale)

    @cached_property
    def films(self) -> int:
        """Films."""
        return isqrt(1_000_000 * self.scale)

    @cached_property
    def films_without_copies(self) -> int:
        """Films that no store has."""
        return self.films * 42 // 1_000

    @cached_property
    def films_without_actors(self) -> int:
        """Films whose cast is not known."""
        return self.films * 3 // 1_000

    @cached_property
    def castings(self) -> int:
        """Rows of film_actor."""
        return self.films * 5_462 // 1_000

    @cached_property
    def actors(self) -> int:
        """Actors."""
        return isqrt(40_000 * self.scale)

    @cached_property
    def addresses(self) -> int:
        """Addresses: first the stores', then the staff's, then the customers'."""
        return 2 * self.stores + self.customers

    @cached_property
    def rows(self) -> dict[str, int]:
        """Rows by table, in the order of the streams."""
        counts = {
            "actor": self.actors,
            "address": self.addresses,
            "category": len(CATEGORIES),
            "city": CITIES,
            "country": len(COUNTRIES),
            "customer": self.customers,
            "film": self.films,
            "film_actor": self.castings,
            "film_category": self.films,
            "inventory": self.copies,
            "language": len(LANGUAGES),
            "payment": self.payments,
            "rental": self.rentals,
            "staff": self.stores,
            "store": self.stores,
        }
        return {name: counts[name] for name in STREAM_NAMES}
