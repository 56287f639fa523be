"""dbt's log file, written from its events.

dbt's own loggers make a line of every event, also of those that they then leave out, which is a seventh of what a build
computes.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

_LEVELS = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_FILE_BYTES = 10 << 20
_OLD_FILES = 5


@contextmanager
def log_file(path: Path) -> Iterator[Callable[[Any], None]]:
    """What writes dbt's events to the file, those for debugging excepted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=_FILE_BYTES, backupCount=_OLD_FILES, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] %(message)s"))

    def write(event: Any) -> None:
        if event.info.level in _LEVELS:
            handler.handle(logging.LogRecord("dbt", _LEVELS[event.info.level], "", 0, event.info.msg, None, None))

    with closing(handler):
        yield write
