"""Several iterators read ahead into one."""

from collections.abc import Iterator
from contextlib import closing
from threading import active_count

import pytest

from dvd_rental_dagster.replication.prefetch import Prefetch


def test_every_item_of_every_iterator_comes_once() -> None:
    with closing(Prefetch([iter(range(100)), iter(range(100, 150)), iter(())])) as prefetch:
        assert sorted(prefetch) == list(range(150))


def test_an_iterators_error_is_raised_and_never_taken_for_its_end() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with closing(Prefetch([broken(), iter(range(3))])) as prefetch, pytest.raises(ZeroDivisionError):
        list(prefetch)
    assert isinstance(prefetch.failure, ZeroDivisionError)


def test_closing_early_ends_the_threads() -> None:
    before = active_count()
    with closing(Prefetch([iter(range(1_000_000)), iter(range(1_000_000))])) as prefetch:
        next(prefetch)
    assert active_count() == before
