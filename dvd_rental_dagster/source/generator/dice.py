"""Numbers that look random and are the same on every machine: a hash of seed, subject and index, in whole numbers only.

A roll depends on nothing drawn before it, so that rows can be made in any order and in any portion. The hash is
SplitMix64 over a counter (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014); NumPy's own
generators are not used, since their streams may change between versions.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_MIX = np.uint64(0x94D049BB133111EB)


class Dice:
    """Rolls by subject and index; every subject has a sequence of its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def roll(self, subject: str, indices: Integers) -> Words:
        """64 bits for each index."""
        digest = blake2b(f"{self._seed}/{subject}".encode(), digest_size=8).digest()
        words: Words = indices.astype(np.uint64)
        words += np.uint64(1)
        words *= _STEP
        words += np.uint64(int.from_bytes(digest, "little"))
        words ^= words >> np.uint64(30)
        words *= _FIRST_MIX
        words ^= words >> np.uint64(27)
        words *= _SECOND_MIX
        words ^= words >> np.uint64(31)
        return words

    def below(self, subject: str, indices: Integers, limit: int | Integers) -> Integers:
        """A number from 0 to ``limit`` - 1 for each index; ``limit`` is at most 2^32."""
        words = self.roll(subject, indices) >> np.uint64(32)
        return ((words * np.asarray(limit, np.uint64)) >> np.uint64(32)).astype(np.int64)

    def between(self, subject: str, indices: Integers, low: int, high: int) -> Integers:
        """A number from ``low`` to ``high``, both included, for each index."""
        return low + self.below(subject, indices, high - low + 1)

    def choice(self, subject: str, indices: Integers, weights: Integers) -> Integers:
        """For each index the position of one weight, as often as its weight says."""
        bounds = np.cumsum(weights)
        return np.searchsorted(bounds, self.below(subject, indices, int(bounds[-1])), side="right").astype(np.int64)

    def permutation(self, subject: str, size: int) -> Integers:
        """The numbers from 0 to ``size`` - 1 in another order."""
        return np.argsort(self.roll(subject, np.arange(size)), kind="stable").astype(np.int64)


def apportion(total: int, weights: Integers) -> Integers:
    """Divide ``total`` into whole parts in proportion to ``weights``; the parts sum to ``total``.

    ``total`` times the sum of the weights must be below 2^63.
    """
    bounds = total * np.cumsum(weights) // int(weights.sum())
    return np.diff(bounds, prepend=0)
