"""Temporary files without a name, for bytes that would fill the memory; they go with the process, however it ends."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ftetl.errors import StorageError
from ftetl.raw.blob import Spooled, read_at

_BUFFER = 4 << 20  # bytes that wait in memory: a system call for each small response would be slow


def write_spooled(pieces: Iterable[bytes], folder: Path, name: str) -> Spooled:
    """These bytes as a blob in a temporary file in the folder; `name` is for messages.

    Raises:
        StorageError: The file cannot be written.
    """
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
    except OSError:
        raise _no_space(name) from None
    with file:
        size = 0
        for piece in pieces:
            size += len(piece)
            try:
                file.write(piece)
            except OSError:
                raise _no_space(name) from None
        try:
            file.flush()
            stored = os.fstat(file.fileno()).st_size
            spooled = Spooled(os.dup(file.fileno()))
        except OSError:
            raise _no_space(name) from None
        if stored != size:  # else a response could be cut between two jobs unnoticed
            spooled.close()
            raise StorageError("S08", f"{name} does not read back as it was written", next="check the disk")
        return spooled


def _no_space(name: str) -> StorageError:
    return StorageError("S01", f"{name} cannot be unpacked: its text cannot be written", next="look for free space")


class Spool:
    """A temporary file that grows; threads share it. `folder` is called when the first bytes are written."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._descriptor = -1
        self._size = 0
        self._buffer: list[bytes] = []
        self._written = 0
        self._lock = threading.Lock()

    def append(self, data: bytes) -> Section:
        """These bytes as a blob in the file.

        Raises:
            StorageError: They cannot be written.
        """
        with self._lock:
            start = self._size
            self._size += len(data)
            self._buffer.append(data)
            if self._size - self._written >= _BUFFER:
                self._write()
        return Section(self, start, len(data))

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, `length` of them."""
        self._flush_to(offset + length)
        return os.pread(self._descriptor, length, offset)

    def readinto(self, offset: int, view: memoryview) -> int:
        """Copy the bytes from `offset` into the view; how many there were."""
        self._flush_to(offset + len(view))
        return read_at(self._descriptor, offset, view)

    def _flush_to(self, end: int) -> None:
        if end > self._written:
            with self._lock:
                self._write()

    def _write(self) -> None:
        data, self._buffer = b"".join(self._buffer), []
        try:
            if self._descriptor < 0:
                with tempfile.TemporaryFile(dir=self._folder()) as file:
                    self._descriptor = os.dup(file.fileno())
            while data:
                done = os.pwrite(self._descriptor, data, self._written)
                self._written, data = self._written + done, data[done:]
        except OSError as error:
            what = f"responses cannot be stored in the target for now: {error.strerror}"
            raise StorageError("S01", what, next="look for free space") from None

    def close(self) -> None:
        """Close the file; safe to call twice. Its sections cannot be read any more."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # the run may have committed, and nobody needs the bytes any more
                os.close(descriptor)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Section:
    """A blob in a spool."""

    def __init__(self, spool: Spool, start: int, size: int) -> None:
        self._spool, self._start, self.size = spool, start, size

    def read(self, offset: int, length: int) -> bytes:
        """As `Blob.read`."""
        length = min(length, self.size - offset)
        return self._spool.read(self._start + offset, length) if length > 0 else b""

    def readinto(self, offset: int, view: memoryview) -> int:
        """As `Blob.readinto`."""
        length = min(len(view), self.size - offset)
        return self._spool.readinto(self._start + offset, view[:length]) if length > 0 else 0
