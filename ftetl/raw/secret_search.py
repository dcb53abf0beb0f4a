"""The first look at a large response, in threads beside the caller: whether it may hold a secret at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from ftetl.raw import secret_hints
from ftetl.raw.blob import Blob

# Each window takes Python's lock a few times, for which a thread may wait as long as another one parses a window.
_WINDOW, OVERLAP = 8 << 20, 1024  # bytes; the overlap is longer than any escaped key
LARGE = 2 * _WINDOW  # bytes of a blob from which on threads search it
_THREADS = 2  # that search: Arrow does it without Python's lock; more would only wait for it with the caller


Range = tuple[int, int]  # the first byte, and the one behind the last


class SecretSearch:
    """Searches a blob, from the beginning of the object on; a context manager, which ends the threads.

    With `ranges` only these are searched, each by itself.
    """

    def __init__(self, blob: Blob, ranges: Iterable[Range] | None = None) -> None:
        self.blob = blob
        windows = list(_windows([(0, blob.size)] if ranges is None else ranges))
        self._windows = iter(windows)  # those that no thread has taken
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="ftetl-secrets")
        self._threads = [self._pool.submit(self._search_windows) for _ in windows[:_THREADS]]

    def may_need_masking(self) -> bool:
        """Whether `mask_everything` may change the bytes; waits for the threads."""
        return any(thread.result() for thread in self._threads)

    def _search_windows(self) -> bool:
        buffer = memoryview(bytearray(_WINDOW + OVERLAP))  # fresh memory costs time
        while (window := next(self._windows, None)) is not None:
            count = 0
            for start, end in window:
                count += self.blob.readinto(start, buffer[count : count + end - start])
                buffer[count : count + 1] = b"\n"[: len(buffer) - count]
                count += 1
            if any(secret_hints.may_hold_secrets([buffer[: count - 1]])):
                self._windows = iter(())
                return True
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; safe to call twice."""
        self._windows = iter(())
        self._pool.shutdown()


def _windows(ranges: Iterable[Range]) -> Iterator[list[Range]]:
    """The ranges in windows: several in one with a byte between them, long ones in pieces that overlap."""
    window: list[Range] = []
    left = _WINDOW
    for first, end in ranges:
        for start in range(first, end, _WINDOW):
            piece = (start, min(end, start + _WINDOW + OVERLAP))
            size = min(end - start, _WINDOW)
            if window and size >= left:
                yield window
                window, left = [], _WINDOW
            window.append(piece)
            left -= size + 1
    if window:
        yield window
