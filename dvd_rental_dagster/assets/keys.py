"""The assets' keys: the same whichever engine and warehouse are chosen."""

from dagster import AssetKey

from dvd_rental_dagster.catalog import STREAM_NAMES


def source_key(stream: str) -> AssetKey:
    """A table of the source database."""
    return AssetKey(["source", stream])


def raw_key(stream: str) -> AssetKey:
    """A stream's current state in the warehouse."""
    return AssetKey(["raw", stream])


def history_key(stream: str) -> AssetKey:
    """Every version of a stream's rows."""
    return AssetKey(["history", stream])


SLOT_KEY = AssetKey(["source", "replication_slot"])
PUBLISHED_KEY = AssetKey(["published", "warehouse"])
STREAM_KEYS = tuple(key(name) for name in STREAM_NAMES for key in (raw_key, history_key))
