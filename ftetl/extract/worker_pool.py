"""A pool of daemon threads that process a list in parallel, while the caller takes the results or leaves."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

_LAST_WAIT = 0.05  # seconds for results that are nearly there, when there is no time to wait for more
_LINGER = 0.01  # seconds in which others may join a result that is ready

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Group:
    """How many results are taken together, and as many may wait to be taken."""

    most: int  # results
    size: Callable[[Any], int]  # of a result
    total: int  # of sizes; a group ends with the result that exceeds it


def map_unordered(
    items: Sequence[T], work: Callable[[T], R], *, threads: int, left: Callable[[], float]
) -> Iterator[R]:
    """As `map_in_groups`, one result at a time; at most as many as threads wait to be taken."""
    for group in map_in_groups(items, work, threads=threads, left=left):
        yield from group


def map_in_groups(
    items: Sequence[T],
    work: Callable[[T], R],
    *,
    threads: int,
    left: Callable[[], float],
    group: Group | None = None,
) -> Iterator[list[R]]:
    """The result of `work` for each item, in the order in which they are ready, until `left()` seconds have passed.

    A group are the results that are ready together, or with `group` nearly so; without it at most as many as threads.
    The threads are daemons, and nobody waits for one that hangs. An exception of `work` is raised here, after
    the results that are ready, and stops all threads.
    """
    pool = _WorkerPool(items, work, min(threads, len(items)), group)
    try:
        yield from pool.results(left)
    finally:
        pool.stop()


class _WorkerPool(Generic[T, R]):
    def __init__(self, items: Sequence[T], work: Callable[[T], R], threads: int, group: Group | None) -> None:
        self._count, self._items, self._work = len(items), deque(items), work
        self._group, self._linger = group or Group(threads, lambda _: 0, 0), _LINGER if group else 0.0
        self._stopped = False
        self._ready: list[R] = []
        self._size = 0
        self._failures: list[BaseException] = []
        lock = threading.Lock()
        self._filled, self._emptied = threading.Condition(lock), threading.Condition(lock)
        for number in range(threads):
            threading.Thread(target=self._run, name=f"ftetl-worker-{number}", daemon=True).start()

    def results(self, left: Callable[[], float]) -> Iterator[list[R]]:
        """The results, until there are all, or no time is left."""
        taken = 0
        while taken < self._count:
            wait = _LAST_WAIT if self._failures else max(left(), _LAST_WAIT)
            ready = self._take(wait, self._count - taken)
            if not ready and (self._failures or left() <= 0.0):
                break
            taken += len(ready)
            if ready:
                yield ready
        if self._failures:
            raise self._failures[0]

    def stop(self) -> None:
        """Stop the threads, those as well that wait to add a result."""
        with self._emptied:
            self._stopped = True
            self._emptied.notify_all()

    def _take(self, seconds: float, left: int) -> list[R]:
        """What is ready, after at most so many seconds; `left` results are still to come."""
        with self._filled:
            known = len(self._failures)
            self._filled.wait_for(lambda: self._ready or len(self._failures) > known, seconds)
            if self._linger:
                self._filled.wait_for(
                    lambda: self._is_full() or len(self._ready) >= left or self._failures, self._linger
                )
            ready, self._ready, self._size = self._ready, [], 0
            self._emptied.notify_all()
            return ready

    def _is_full(self) -> bool:
        return len(self._ready) >= self._group.most or self._size > self._group.total

    def _run(self) -> None:
        while not self._stopped:
            try:
                item = self._items.popleft()
            except IndexError:
                return
            try:
                result = self._work(item)
            except BaseException as error:  # noqa: BLE001 - raised where the results are taken
                with self._filled:
                    self._stopped = True
                    self._failures.append(error)
                    self._filled.notify_all()
                    self._emptied.notify_all()
                return
            with self._filled:
                self._emptied.wait_for(lambda: not self._is_full() or self._stopped)
                self._ready.append(result)
                self._size += self._group.size(result)
                if len(self._ready) == 1 or self._is_full() or not self._items:
                    self._filled.notify_all()
