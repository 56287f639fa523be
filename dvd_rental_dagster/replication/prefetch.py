"""Several iterators read ahead, each on a thread of its own, into one bounded queue."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Full, Queue
from threading import Event
from typing import Generic, TypeVar

T = TypeVar("T")
_AHEAD = 2
_LOOK_SECONDS = 0.1


class Prefetch(Generic[T]):
    """The items of all iterators as they come; close it when done with it, spent or not.

    ``failure`` is the error of the first iterator that failed; the iteration raises it.
    """

    def __init__(self, iterators: Sequence[Iterator[T]]) -> None:
        self.failure: BaseException | None = None
        self._items: Queue[T | None] = Queue(maxsize=_AHEAD)
        self._closed = Event()
        self._running = len(iterators)
        self._executor = ThreadPoolExecutor(len(iterators), thread_name_prefix="prefetch")
        for iterator in iterators:
            self._executor.submit(self._read, iterator)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        while self._running:
            item = self._items.get()
            if item is not None:
                return item
            self._running -= 1
            if self.failure is not None:
                raise self.failure
        raise StopIteration

    def close(self) -> None:
        """Stop, and wait until each iterator has finished the item that it makes."""
        self._closed.set()
        self._executor.shutdown()

    def _read(self, iterator: Iterator[T]) -> None:
        try:
            for item in iterator:
                self._put(item)
                if self._closed.is_set():
                    return
        except BaseException as error:
            self.failure = self.failure or error
            raise
        finally:
            self._put(None)

    def _put(self, item: T | None) -> None:
        while not self._closed.is_set():
            try:
                self._items.put(item, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return
