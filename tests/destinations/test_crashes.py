"""A sync that dies at any moment, or fails, and is started again ends where an uninterrupted one would, everywhere.

DuckDB's tests of these moments are those of the sync; files that readers see have moments of their own, with JSON.
"""

from collections.abc import Callable

import pytest
from interruption import sync_interrupted, sync_killed
from stores import FURTHER, Carried
from test_destinations import CHANGES

from dvd_rental_dagster.replication.failpoint import FailPoint
from dvd_rental_dagster.replication.stream import LogStream

further = pytest.mark.parametrize("store", FURTHER, indirect=True)
POINTS = [point for point in FailPoint if point is not FailPoint.IN_PUBLICATION]
APPLYING = (FailPoint.AFTER_READ, FailPoint.IN_APPLY, FailPoint.BEFORE_COMMIT)
ITEMS, VERSIONS = 20, 5


def assert_goes_on(carried: Carried) -> None:
    """The next sync ends where an undisturbed one would, with every version written once."""
    carried.sync()
    carried.assert_equal()
    carried.assert_is_the_source("item")
    history = carried.history()
    assert len(history) == len({(row["id"], row["_ab_cdc_lsn"]) for row in history}) == ITEMS + VERSIONS


@further
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.value)
def test_a_sync_killed_there_and_started_again_writes_everything_once(carried: Carried, point: FailPoint) -> None:
    carried.execute(*CHANGES)
    resync = ["item", "place"] if point is FailPoint.IN_SNAPSHOT else []
    assert sync_killed(carried, point, resync=resync)
    carried.await_free_slot()
    assert_goes_on(carried)


def test_a_first_load_that_is_killed_starts_clean(carry: Callable[..., Carried]) -> None:
    carried = carry()
    carried.execute("insert into item values (1, 'a', 1, null)")
    assert sync_killed(carried, FailPoint.IN_SNAPSHOT, 2)
    carried.sync()
    carried.assert_equal()
    assert [row["id"] for row in carried.history()] == [1]


@further
@pytest.mark.parametrize("point", APPLYING, ids=lambda point: point.value)
def test_an_apply_that_fails_again_and_again_leaves_what_was_there_until_it_succeeds(
    carried: Carried, point: FailPoint
) -> None:
    before = carried.raw(), carried.history()
    carried.execute(*CHANGES)
    for _ in range(3):
        assert sync_interrupted(carried, point)
        assert (carried.raw(), carried.history()) == before
    assert_goes_on(carried)


@further
def test_acknowledgements_lost_for_a_whole_sync_have_no_effect(
    carried: Carried, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried.execute(*CHANGES)
    with monkeypatch.context() as lost:
        lost.setattr(LogStream, "acknowledge", lambda *_: None)
        carried.sync()
    written = carried.history()
    carried.execute("update item set name = 'more' where id = 4")
    carried.sync()
    carried.assert_equal()
    assert carried.history()[:-1] == written
