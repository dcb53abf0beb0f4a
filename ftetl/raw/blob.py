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


def read_at(descriptor: int, offset: int, view: memoryview) -> int:
    """Fill the view from an open file; how many bytes there were."""
    done = 0
    while done < len(view) and (count := os.preadv(descriptor, [view[done:]], offset + done)):
        done += count
    return done


class Memory:
    """A blob in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """As `Blob.read`."""
        return self.data[offset : offset + length]

    def readinto(self, offset: int, view: memoryview) -> int:
        """As `Blob.readinto`."""
        part = self.data[offset : offset + len(view)]
        view[: len(part)] = part
        return len(part)


class Spooled:
    """A blob in an open file, which may have no name."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """As `Blob.read`."""
        return os.pread(self._descriptor, length, offset)

    def readinto(self, offset: int, view: memoryview) -> int:
        """As `Blob.readinto`."""
        return read_at(self._descriptor, offset, view)

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
