"""Dagster's log of events in SQLite, through connections that stay open.

Dagster's own opens a file for each event, prepares its statements anew and closes it, at which SQLite moves its log
into the file. A run of the whole graph tells of some five hundred events.
"""

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes.config_class import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event

_OPEN_FILES = 8
"""Each run has a file of its own, and all share one that tells of assets."""


class OpenEventLogStorage(SqliteEventLogStorage):
    """The files in ``base_dir``, of which the last used are kept open until ``dispose``."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "OpenEventLogStorage":
        """Make the storage that ``dagster.yaml`` asks for."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                before = _changes(connection)
                yield connection
                changed = _changes(connection) != before
            if changed:
                # What was written stands in SQLite's log until that is full; who watches the file is to hear of it now.
                os.utime(self.path_for_shard(shard))

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            self._engines[shard] = create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
            event.listen(self._engines[shard], "connect", _sync_at_checkpoints)
        self._engines.move_to_end(shard)
        if len(self._engines) > _OPEN_FILES:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def wipe(self) -> None:
        """Delete all events."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close the files and stop watching them."""
        super().dispose()
        self._close()

    def _close(self) -> None:
        with self._db_lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()


def _sync_at_checkpoints(connection: sqlite3.Connection, _: Any) -> None:
    """Have the disk waited for when SQLite moves its log into the file, not at each event.

    In WAL mode the file stays whole (https://sqlite.org/pragma.html#pragma_synchronous); a machine that loses its power
    loses the last events, and the run that told them.
    """
    connection.execute("pragma synchronous = normal")


def _changes(connection: Connection) -> int:
    """Rows that the connection has ever changed."""
    changes: int = connection.connection.dbapi_connection.total_changes  # type: ignore[union-attr]
    return changes
