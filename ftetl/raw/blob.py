"""Bytes that can be read at any place: in memory, or in a file that is never loaded whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol


class Blob(Protocol):
    """Bytes of a known size; threads share a blob without a lock."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, `length` of them or as many as there are."""

    def readinto(self, offset: int, view: memoryview) -> int:
        """Copy the bytes from `offset` into the view; how many there were."""
        part = self.read(offset, len(view))
        view[: len(part)] = part
        return len(part)


class Memory(Blob):
    """A blob in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """As `Blob.read`."""
        return self.data[offset : offset + length]


class Spooled(Blob):
    """A blob in an open file, which may have no name."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """As `Blob.read`."""
        return os.pread(self._descriptor, length, offset)

    def readinto(self, offset: int, view: memoryview) -> int:
        """As `Blob.readinto`."""
        count = done = os.preadv(self._descriptor, [view], offset)
        while count and done < len(view):  # it may read less than there is
            count = os.preadv(self._descriptor, [view[done:]], offset + done)
            done += count
        return done

    def close(self) -> None:
        """Close the file; safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # it was only read from
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()


class File(Spooled):
    """A blob in a file of the user's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1  # for __del__, if opening fails
        super().__init__(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


class Part:
    """A part of another blob; `place` is where it begins in the outermost one, `whole`."""

    def __init__(self, blob: Blob, start: int, size: int) -> None:
        self._blob, self._start, self.size = blob, start, size
        self.whole: Blob = blob.whole if isinstance(blob, Part) else blob
        self.place: int = start + (blob.place if isinstance(blob, Part) else 0)

    def read(self, offset: int, length: int) -> bytes:
        """As `Blob.read`."""
        return self._blob.read(self._start + offset, max(0, min(length, self.size - offset)))

    def readinto(self, offset: int, view: memoryview) -> int:
        """As `Blob.readinto`."""
        return self._blob.readinto(self._start + offset, view[: max(0, self.size - offset)])
