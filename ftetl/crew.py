"""Threads that work through a list side by side, while whoever started them takes the results or leaves.

Knows nothing of what is worked on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, Queue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def work_through(items: Sequence[T], work: Callable[[T], R], *, threads: int, left: Callable[[], float]) -> Iterator[R]:
    """What `work` gives for each item, each as soon as it is there; what comes later than `left` seconds, never.

    At most twice as many results as threads wait to be taken. The threads are daemons, and nobody waits for one that
    hangs. What `work` raises is raised here, and ends it all.
    """
    count = min(threads, len(items))
    results: Queue[tuple[R | None, BaseException | None]] = Queue(2 * count)
    coming, lock, stopped = iter(items), threading.Lock(), threading.Event()

    def run() -> None:
        while not stopped.is_set():
            with lock:
                # A list of its own, so that no item can be taken for the end.
                item = [*_next(coming)]
            if not item:
                return
            try:
                results.put((work(item[0]), None))
            except BaseException as error:  # noqa: BLE001 - raised where the results are taken
                results.put((None, error))

    for number in range(count):
        threading.Thread(target=run, name=f"ftetl-crew-{number}", daemon=True).start()
    try:
        for _ in items:
            try:
                result, error = results.get(timeout=left())
            except Empty:
                return
            if error is not None:
                raise error
            yield result  # type: ignore[misc] # R, since there was no error
    finally:
        stopped.set()
        while not results.empty():  # so that a thread which waits for room goes on, and sees that it is over
            results.get_nowait()


def _next(coming: Iterator[T]) -> Iterator[T]:
    for item in coming:
        yield item
        return
