"""A pool of daemon threads that process a list in parallel, while the caller takes the results or leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from queue import Empty, Queue
from typing import Generic, TypeVar

_LAST_WAIT = 0.05  # seconds for results that are nearly there, when there is no time to wait for more

T = TypeVar("T")
R = TypeVar("R")


def map_unordered(
    items: Sequence[T], work: Callable[[T], R], *, threads: int, left: Callable[[], float]
) -> Iterator[R]:
    """As `map_in_groups`, one result at a time."""
    for group in map_in_groups(items, work, threads=threads, left=left):
        yield from group


def map_in_groups(
    items: Sequence[T], work: Callable[[T], R], *, threads: int, left: Callable[[], float]
) -> Iterator[list[R]]:
    """The result of `work` for each item, in the order in which they are ready, until `left()` seconds have passed.

    A group are the results that are ready together. At most as many as threads are in it, and as many wait to be taken.
    The threads are daemons, and nobody waits for one that hangs. An exception of `work` is raised here, after
    the results that are ready, and stops all threads.
    """
    pool = _WorkerPool(items, work, min(threads, len(items)))
    try:
        yield from pool.results(left)
    finally:
        pool.stop()


class _WorkerPool(Generic[T, R]):
    def __init__(self, items: Sequence[T], work: Callable[[T], R], threads: int) -> None:
        self._count, self._items, self._work = len(items), iter(items), work
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._done: Queue[tuple[list[R], BaseException | None]] = Queue(threads)
        for number in range(threads):
            threading.Thread(target=self._run, name=f"ftetl-worker-{number}", daemon=True).start()

    def results(self, left: Callable[[], float]) -> Iterator[list[R]]:
        """The results, until there are all, or no time is left."""
        failure: BaseException | None = None
        taken = 0
        while taken < self._count:
            try:
                ready = [self._done.get(timeout=_LAST_WAIT if failure else max(left(), _LAST_WAIT))]
            except Empty:
                break
            with suppress(Empty):
                while len(ready) < self._done.maxsize:
                    ready.append(self._done.get_nowait())
            taken += len(ready)
            failure = failure or next((error for _, error in ready if error is not None), None)
            if group := [result for results, _ in ready for result in results]:
                yield group
        if failure is not None:
            raise failure

    def stop(self) -> None:
        """Stop the threads; emptying the queue lets those go on that wait to add a result."""
        self._stopped.set()
        while not self._done.empty():
            self._done.get_nowait()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                item = list(islice(self._items, 1))
            if not item:
                return
            try:
                self._done.put(([self._work(item[0])], None))
            except BaseException as error:  # noqa: BLE001 - raised where the results are taken
                self._stopped.set()
                self._done.put(([], error))
