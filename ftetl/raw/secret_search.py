"""The first look at a large response, in threads beside the caller: whether it may hold a secret at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Self

from ftetl.raw import secret_hints
from ftetl.raw.blob import Blob

# Each window takes Python's lock a few times, for which a thread may wait as long as another one parses a window.
_WINDOW, OVERLAP = 8 << 20, 1024  # bytes; the overlap is longer than any escaped key
LARGE = 2 * _WINDOW  # bytes of a blob from which on threads search it
_THREADS = 2  # that search: Arrow does it without Python's lock; more would only wait for it with the caller


class SecretSearch:
    """Searches a blob, from the beginning of the object on; a context manager, which ends the threads."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._starts = iter(range(0, blob.size, _WINDOW))  # of the windows that no thread has taken
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="ftetl-secrets")
        count = min(_THREADS, -(-blob.size // _WINDOW))
        self._threads = [self._pool.submit(self._search_windows) for _ in range(count)]

    def may_need_masking(self) -> bool:
        """Whether `mask_everything` may change the bytes; waits for the threads."""
        return any(thread.result() for thread in self._threads)

    def _search_windows(self) -> bool:
        buffer = memoryview(bytearray(min(_WINDOW + OVERLAP, self._blob.size)))  # fresh memory costs time
        while (start := next(self._starts, None)) is not None:
            count = self._blob.readinto(start, buffer)
            if any(secret_hints.may_hold_secrets([buffer[:count]])):
                self._starts = iter(())
                return True
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._starts = iter(())
        self._pool.shutdown()
