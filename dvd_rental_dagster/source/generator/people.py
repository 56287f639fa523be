"""Names: of actors, customers and staff."""

from collections.abc import Iterator

from dvd_rental_dagster.source.generator.dice import Dice
from dvd_rental_dagster.source.generator.season import CREATED, Row
from dvd_rental_dagster.source.generator.volume import Volume
from dvd_rental_dagster.source.generator.words import GIVEN_NAMES, SURNAME_ENDINGS, SURNAME_STEMS

_NAMESAKES = (100, 109)  # the two actors who share one name

# The eight bytes every PNG file begins with, as the one picture of the real database.
_PICTURE = bytes.fromhex("89504e470d0a5a0a")


def names(dice: Dice, subject: str, count: int) -> list[tuple[str, str]]:
    """Given name and surname of ``count`` people; no two people of one subject share both."""
    endings = len(SURNAME_ENDINGS)
    combinations = len(GIVEN_NAMES) * len(SURNAME_STEMS) * endings
    surnames, given = divmod(dice.permutation(f"name of {subject}", combinations)[:count], len(GIVEN_NAMES))
    return [
        (GIVEN_NAMES[first], SURNAME_STEMS[last // endings] + SURNAME_ENDINGS[last % endings])
        for first, last in zip(given.tolist(), surnames.tolist(), strict=True)
    ]


def actor_rows(dice: Dice, volume: Volume) -> Iterator[Row]:
    """Rows of ``actor``; two actors share one name."""
    actors = names(dice, "actor", volume.actors)
    actors[_NAMESAKES[1]] = actors[_NAMESAKES[0]]
    for number, (first, last) in enumerate(actors, start=1):
        yield number, first, last, CREATED


def staff_rows(dice: Dice, volume: Volume) -> Iterator[Row]:
    """Rows of ``staff``: one for each store; only the first has a picture. The password is no hash of anything."""
    for store, (first, last) in enumerate(names(dice, "staff", volume.stores), start=1):
        yield (
            store,
            first,
            last,
            volume.stores + store,
            f"{first}.{last}@stores.example.org",
            store,
            True,
            first,
            "0" * 40,
            CREATED,
            _PICTURE if store == 1 else None,
        )


def store_rows(volume: Volume) -> Iterator[Row]:
    """Rows of ``store``."""
    for store in range(1, volume.stores + 1):
        yield store, store, store, CREATED
