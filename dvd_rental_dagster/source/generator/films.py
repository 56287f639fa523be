"""The films: what they are called and cost, who plays in them, and how popular they are."""

from collections.abc import Iterator

import numpy as np

from dvd_rental_dagster.source.generator.dice import Dice, Integers, apportion
from dvd_rental_dagster.source.generator.season import CREATED, Row
from dvd_rental_dagster.source.generator.volume import Volume
from dvd_rental_dagster.source.generator.words import (
    CATEGORIES,
    DISCOVERIES,
    FEATURES,
    LANGUAGES,
    PEOPLE,
    RATINGS,
    SEQUELS,
    TASKS,
    TITLE_NOUNS,
    TITLE_OPENINGS,
    TONES,
)

_FIRST_YEAR, _LAST_YEAR = 1965, 2023
_RATES = np.array([99, 299, 499])  # cents
_POPULARITY = 1 << 13  # of the most popular film, before its category counts


class Films:
    """The films by position; everything that rentals depend on as arrays.

    ``popularity`` falls like Zipf's law with a long tail, and with the category. ``rate`` is in cents, ``duration`` in
    days, ``length`` in minutes.
    """

    def __init__(self, dice: Dice, volume: Volume) -> None:
        films = np.arange(volume.films)
        self._dice = dice
        self._volume = volume
        self._films = films
        self.category = dice.choice("category", films, np.array([share for _, _, share in CATEGORIES]))
        self.duration = dice.between("rental duration", films, 3, 7)
        self.length = dice.between("length", films, 46, 115) + dice.between("length, again", films, 0, 70)
        self.popularity = self._popularity()
        self.rate = _RATES[self._price_levels()]

    def rows(self) -> Iterator[Row]:
        """Rows of ``film``; ``fulltext`` is null, and its trigger fills it in."""
        below, films = self._dice.below, self._films
        titles, descriptions = self._titles(), self._descriptions()
        years = np.maximum(self._dice.between("year", films, _FIRST_YEAR, _LAST_YEAR), 1995 + below("era", films, 29))
        languages = self._dice.choice("language", films, np.array([share for _, share in LANGUAGES]))
        costs = 999 + 100 * below("replacement cost", films, 21)
        ratings = below("rating", films, len(RATINGS))
        features = below("special features", films, 15) + 1
        for i in films.tolist():
            yield (
                i + 1,
                titles[i],
                descriptions[i],
                int(years[i]),
                int(languages[i]) + 1,
                int(self.duration[i]),
                _dollars(int(self.rate[i])),
                int(self.length[i]),
                _dollars(int(costs[i])),
                RATINGS[ratings[i]],
                CREATED,
                [feature for bit, feature in enumerate(FEATURES) if features[i] >> bit & 1],
                None,
            )

    def category_rows(self) -> Iterator[Row]:
        """Rows of ``film_category``: one for each film."""
        for film, category in enumerate(self.category.tolist(), start=1):
            yield film, category + 1, CREATED

    def actor_rows(self) -> Iterator[Row]:
        """Rows of ``film_actor``, by film; the films without actors are spread evenly over all."""
        dice, volume = self._dice, self._volume
        films = np.delete(self._films, _spread(volume.films_without_actors, volume.films))
        casts = 1 + apportion(volume.castings - len(films), 1 + dice.below("size of cast", films, 24))
        firsts = dice.below("first actor", films, volume.actors)
        strides = 1 + dice.below("stride to the next actor", films, volume.actors // 16)  # so none comes round again
        for film, cast, first, stride in zip(
            films.tolist(), casts.tolist(), firsts.tolist(), strides.tolist(), strict=True
        ):
            for member in range(cast):
                yield (first + member * stride) % volume.actors + 1, film + 1, CREATED

    def without_copies(self) -> Integers:
        """The films that no store has: the least popular ones."""
        by_popularity: Integers = np.argsort(self.popularity, kind="stable")
        return by_popularity[: self._volume.films_without_copies]

    def _popularity(self) -> Integers:
        count = self._volume.films
        ranks = self._dice.permutation("rank of film", count)
        steep = count // 12
        percent = np.array([percent for _, percent, _ in CATEGORIES])[self.category]
        popularity: Integers = _POPULARITY * steep // (ranks + steep) * percent // 100
        return popularity

    def _price_levels(self) -> Integers:
        """Popular films cost more, more often than not."""
        count = self._volume.films
        thirds = np.searchsorted(np.sort(self.popularity)[[count // 3, 2 * count // 3]], self.popularity)
        any_level = self._dice.below("price", self._films, 3)
        return np.where(self._dice.below("price follows popularity", self._films, 3) > 0, thirds, any_level)

    def _titles(self) -> list[str]:
        pairs = len(TITLE_OPENINGS) * len(TITLE_NOUNS)
        order = self._dice.permutation("title", pairs)
        titles = []
        for film in range(self._volume.films):
            sequel, number = divmod(film, pairs)
            opening, noun = divmod(int(order[number]), len(TITLE_NOUNS))
            titles.append(f"{TITLE_OPENINGS[opening]} {TITLE_NOUNS[noun]}{SEQUELS[sequel]}")
        return titles

    def _descriptions(self) -> list[str]:
        below, films = self._dice.below, self._films
        tones = below("tone", films, len(TONES))
        people = below("people", films, len(PEOPLE))
        discoveries = below("discovery", films, len(DISCOVERIES))
        tasks = below("task", films, len(TASKS))
        return [
            f"{TONES[tones[film]]} story of {PEOPLE[people[film]]}, "
            f"{DISCOVERIES[discoveries[film]]} and the attempt to {TASKS[tasks[film]]}"
            for film in films
        ]


def category_rows() -> Iterator[Row]:
    """Rows of ``category``."""
    for number, (name, _, _) in enumerate(CATEGORIES, start=1):
        yield number, name, CREATED


def language_rows() -> Iterator[Row]:
    """Rows of ``language``."""
    for number, (name, _) in enumerate(LANGUAGES, start=1):
        yield number, name, CREATED


def _spread(count: int, size: int) -> Integers:
    return (np.arange(count) * 2 + 1) * size // (2 * max(count, 1))


def _dollars(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
