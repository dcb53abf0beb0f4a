"""The raw elements of a batch: read from their answers when they are wanted, or all together into one buffer.

Knows no JSON but the newline that may stand between two values.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ftetl.raw.blob import Blob
from ftetl.raw.response import Response, changed
from ftetl.transform.raw_job import RawJob

_KEPT = 32 << 20  # bytes up to which a thread keeps its buffer: fresh memory costs more than the reading
_OPEN, _CLOSE, _NEWLINE = b"{}\n"
_own = threading.local()


class Raws:
    """The raw elements of some items."""

    def __init__(self, items: Sequence[RawJob], responses: Sequence[Response]) -> None:
        self._items, self._responses = items, responses

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, at: int) -> bytes:
        blob, offset, length = self._place(self._items[at])
        return blob.read(offset, length)

    def part(self, low: int, high: int) -> Raws:
        """Those from `low` up to `high`."""
        return Raws(self._items[low:high], self._responses)

    @property
    def size(self) -> int:
        """The bytes of all of them."""
        return sum(length(item) for item in self._items)

    def together(self) -> memoryview:
        """All of them, a newline behind each, in a buffer that this thread's next call uses again.

        Raises:
            DataError: Their answer is not any more what it was when it was scanned.
        """
        size = self.size + len(self)
        view, at = memoryview(_buffer(size))[:size], 0
        for item in self._items:
            blob, offset, length = self._place(item)
            end = at + length
            done = blob.readinto(offset, view[at:end])
            # The scan saw an object here. What is none any more could be anything, and Arrow's reader dies of a `null`.
            if done < length or view[at] != _OPEN or view[end - 1] != _CLOSE:
                raise changed(self._responses[item.response].name)
            view[end] = _NEWLINE
            at = end + 1
        return view

    def _place(self, item: RawJob) -> tuple[Blob, int, int]:
        if item.raw is not None:
            return item.raw, 0, item.raw.size
        return self._responses[item.response].blob, item.offset, item.length


def length(item: RawJob) -> int:
    """How many bytes an item has."""
    return item.raw.size if item.raw is not None else item.length


def _buffer(size: int) -> bytearray:
    if size > _KEPT:
        return bytearray(size)
    kept: bytearray | None = getattr(_own, "buffer", None)
    if kept is None or len(kept) < size:
        kept = _own.buffer = bytearray(size + size // 4)
    return kept
