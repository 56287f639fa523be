"""A DVD Rental database of our own making: the tables, keys and quirks of the real one, at any scale, from a seed."""

from dvd_rental_dagster.source.generator.load import generate
from dvd_rental_dagster.source.generator.volume import Volume

__all__ = ["Volume", "generate"]
