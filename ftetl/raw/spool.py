"""Bytes put by until they are wanted: in a file without a name, so that many small answers do not fill the memory.

Knows nothing of what it holds. The file is gone with the process, however that ends.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ftetl.errors import StorageError
from ftetl.raw.blob import read_at

_BUFFER = 4 << 20


class Scrap:
    """A file that grows; `folder` gives the place for it, and is called when there is something to put by."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._descriptor = -1
        self._size = 0
        self._waiting: list[
            bytes
        ] = []  # not written yet, since a system call for each small answer would cost more than the rest
        self._written = 0
        self._lock = threading.Lock()

    def put(self, data: bytes) -> Section:
        """These bytes as a blob that takes no memory.

        Raises:
            StorageError: They cannot be written.
        """
        with self._lock:
            start = self._size
            self._size += len(data)
            self._waiting.append(data)
            if self._size - self._written >= _BUFFER:
                self._write()
        return Section(self, start, len(data))

    def read(self, offset: int, length: int) -> bytes:
        """What was put by at this place."""
        self._reach(offset + length)
        return os.pread(self._descriptor, length, offset)

    def readinto(self, offset: int, view: memoryview) -> int:
        """Put what was put by at this place into the view; how many bytes there were."""
        self._reach(offset + len(view))
        return read_at(self._descriptor, offset, view)

    def _reach(self, end: int) -> None:
        if end > self._written:
            with self._lock:
                self._write()

    def _write(self) -> None:
        data, self._waiting = b"".join(self._waiting), []
        try:
            if self._descriptor < 0:
                with tempfile.TemporaryFile(dir=self._folder()) as file:
                    self._descriptor = os.dup(file.fileno())
            while data:
                done = os.pwrite(self._descriptor, data, self._written)
                self._written, data = self._written + done, data[done:]
        except OSError as error:
            what = f"answers cannot be put by in the target: {error.strerror}"
            raise StorageError("S01", what, next="look for free space") from None

    def close(self) -> None:
        """Give the file back; safe to call twice. Reading what was put by fails from then on."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # nobody needs any more what it held, and the run may have committed
                os.close(descriptor)

    def __enter__(self) -> Scrap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Section:
    """A blob that was put by; threads share it."""

    def __init__(self, scrap: Scrap, start: int, size: int) -> None:
        self._scrap, self._start, self.size = scrap, start, size

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, `length` of them or as many as there are."""
        length = min(length, self.size - offset)
        return self._scrap.read(self._start + offset, length) if length > 0 else b""

    def readinto(self, offset: int, view: memoryview) -> int:
        """Put the bytes from `offset` into the view; how many there were."""
        length = min(len(view), self.size - offset)
        return self._scrap.readinto(self._start + offset, view[:length]) if length > 0 else 0
