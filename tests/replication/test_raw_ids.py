"""Ids of rows."""

from uuid import RFC_4122, UUID

import pytest

from dvd_rental_dagster.replication.destinations.raw_ids import raw_ids


def test_every_id_is_a_uuid_of_version_7() -> None:
    parsed = [UUID(text) for text in raw_ids(100_000).to_pylist()]
    assert {(uuid.version, uuid.variant) for uuid in parsed} == {(7, RFC_4122)}


def test_ids_ascend_in_a_block_and_none_comes_twice_over_many_blocks() -> None:
    blocks = [raw_ids(1_000).to_pylist() for _ in range(100)]
    assert all(block == sorted(block) for block in blocks)
    assert len({text for block in blocks for text in block}) == 100_000


@pytest.mark.parametrize("count", [0, 1, 65_537])
def test_a_block_has_as_many_ids_as_asked_for_in_the_form_that_uuid_writes(count: int) -> None:
    texts = raw_ids(count).to_pylist()
    assert len(texts) == count
    assert texts == [str(UUID(text)) for text in texts]
