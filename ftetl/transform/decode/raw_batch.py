"""The raw bytes of a batch of jobs: one by one, or concatenated in one buffer."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ftetl.raw.response import Response, changed_error
from ftetl.transform.raw_job import RawJob

_MAX_REUSED = 32 << 20  # bytes up to which a thread keeps its buffer: fresh memory costs more than the reading
_OPEN, _CLOSE, _NEWLINE = b"{}\n"
_thread_local = threading.local()


class RawBatch:
    """The raw bytes of some jobs."""

    def __init__(self, items: Sequence[RawJob], responses: Sequence[Response]) -> None:
        self._items, self._responses = items, responses

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, place: int) -> bytes:
        item = self._items[place]
        return self._responses[item.response].blob.read(item.offset, item.length)

    def part(self, low: int, high: int) -> RawBatch:
        """The jobs from `low` up to `high`."""
        return RawBatch(self._items[low:high], self._responses)

    @property
    def size(self) -> int:
        """The bytes of all jobs."""
        return sum([item.length for item in self._items])

    def concatenated(self) -> memoryview:
        """All jobs, a newline after each, in a buffer that this thread's next call uses again.

        Raises:
            DataError: The response is not any more what it was when it was indexed.
        """
        size = self.size + len(self)
        view, start = memoryview(_buffer(size))[:size], 0
        readers = [response.blob.readinto for response in self._responses]
        for item in self._items:
            end = start + item.length
            count = readers[item.response](item.offset, view[start:end])
            # The index saw an object here. What is none any more could be anything, and a `null` kills Arrow's reader.
            if count < item.length or view[start] != _OPEN or view[end - 1] != _CLOSE:
                raise changed_error(self._responses[item.response].name)
            view[end] = _NEWLINE
            start = end + 1
        return view


def raw_length(item: RawJob) -> int:
    """The bytes of a job."""
    return item.length


def _buffer(size: int) -> bytearray:
    if size > _MAX_REUSED:
        return bytearray(size)
    buffer: bytearray | None = getattr(_thread_local, "buffer", None)
    if buffer is None or len(buffer) < size:
        buffer = _thread_local.buffer = bytearray(size + size // 4)
    return buffer
