"""Threads that work through a list side by side, while whoever started them takes the results or leaves.

Knows nothing of what is worked on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from queue import Empty, Queue
from typing import Generic, TypeVar

_LAST = 0.05  # seconds for what has come already, when there is no time to wait for more

T = TypeVar("T")
R = TypeVar("R")


def map_unordered(
    items: Sequence[T], work: Callable[[T], R], *, threads: int, left: Callable[[], float]
) -> Iterator[R]:
    """What `work` gives for each item, each as soon as it is there; what comes later than `left` seconds, never.

    At most twice as many results as threads wait to be taken. The threads are daemons, and nobody waits for one that
    hangs. What `work` raises is raised here, behind the results that are there already, and ends it all.
    """
    crew = _WorkerPool(items, work, min(threads, len(items)))
    try:
        yield from crew.results(left)
    finally:
        crew.stop()


class _WorkerPool(Generic[T, R]):
    def __init__(self, items: Sequence[T], work: Callable[[T], R], threads: int) -> None:
        self._count, self._coming, self._work = len(items), iter(items), work
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._done: Queue[tuple[list[R], BaseException | None]] = Queue(2 * threads)
        for number in range(threads):
            threading.Thread(target=self._run, name=f"ftetl-worker-{number}", daemon=True).start()

    def results(self, left: Callable[[], float]) -> Iterator[R]:
        """What is done, until all is, or no time is left."""
        failure: BaseException | None = None
        for _ in range(self._count):
            try:
                result, error = self._done.get(timeout=_LAST if failure else max(left(), _LAST))
            except Empty:
                break
            if error is not None:
                failure = failure or error
                self._stopped.set()
            yield from result
        if failure is not None:
            raise failure

    def stop(self) -> None:
        """Let the threads end; one that waits for room goes on, and sees that it is over."""
        self._stopped.set()
        while not self._done.empty():
            self._done.get_nowait()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                item = list(islice(self._coming, 1))
            if not item:
                return
            try:
                self._done.put(([self._work(item[0])], None))
            except BaseException as error:  # noqa: BLE001 - raised where the results are taken
                self._done.put(([], error))
