"""The fifteen streams of DVD Rental: the one list from which assets, tables and tests derive."""

from dataclasses import dataclass
from enum import StrEnum


class SyncMode(StrEnum):
    """How a stream lands in ``raw``; the names are Airbyte's."""

    INCREMENTAL_DEDUPED_HISTORY = "incremental_deduped_history"
    INCREMENTAL_APPEND = "incremental_append"
    FULL_REFRESH_OVERWRITE = "full_refresh_overwrite"


@dataclass(frozen=True)
class Stream:
    """One source table and how it is replicated.

    ``name`` is the table's name in the warehouse, and in the source unless ``table`` says another; ``primary_key`` its
    key columns in key order, none for a table without a key.
    """

    name: str
    primary_key: tuple[str, ...]
    namespace: str = "public"
    mode: SyncMode = SyncMode.INCREMENTAL_DEDUPED_HISTORY
    table: str = ""

    @property
    def source_table(self) -> tuple[str, str]:
        """Namespace and name of the table in the source."""
        return self.namespace, self.table or self.name

    @property
    def source_name(self) -> str:
        """The source's table as an error names it."""
        return ".".join(self.source_table)


STREAMS: tuple[Stream, ...] = (
    Stream("actor", ("actor_id",)),
    Stream("address", ("address_id",)),
    Stream("category", ("category_id",)),
    Stream("city", ("city_id",)),
    Stream("country", ("country_id",)),
    Stream("customer", ("customer_id",)),
    Stream("film", ("film_id",)),
    Stream("film_actor", ("actor_id", "film_id")),
    Stream("film_category", ("film_id", "category_id")),
    Stream("inventory", ("inventory_id",)),
    Stream("language", ("language_id",)),
    Stream("payment", ("payment_id",)),
    Stream("rental", ("rental_id",)),
    Stream("staff", ("staff_id",)),
    Stream("store", ("store_id",)),
)
STREAM_NAMES: tuple[str, ...] = tuple(stream.name for stream in STREAMS)
