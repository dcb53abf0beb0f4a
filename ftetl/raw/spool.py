"""Temporary files without a name, for bytes that would fill the memory; they go with the process, however it ends."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ftetl.errors import StorageError
from ftetl.raw.blob import Blob, Spooled

_BUFFER = 4 << 20  # bytes that wait in memory: a system call for each small response would be slow


def write_spooled(pieces: Iterable[bytes], folder: Path, name: str) -> Spooled:
    """These bytes as a blob in a temporary file in the folder; `name` is for messages.

    Raises:
        StorageError: The file cannot be written.
    """
    with ExitStack() as stack:
        with _translated_errors(name):
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        size = 0
        for piece in pieces:
            size += len(piece)
            with _translated_errors(name):
                file.write(piece)
        with _translated_errors(name):
            file.flush()
            spooled = Spooled(os.dup(file.fileno()))
        if spooled.size != size:  # else a response could be cut between two jobs unnoticed
            spooled.close()
            raise StorageError("S08", f"{name} does not read back as it was written", next="check the disk")
        return spooled


@contextmanager
def _translated_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError:
        what = f"{name} cannot be unpacked: its text cannot be written"
        raise StorageError("S01", what, next="free some space, then run again") from None


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
        if offset + length > self._written:
            with self._lock:
                self._write()
        return os.pread(self._descriptor, length, offset)

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
            raise StorageError("S01", what, next="free some space, then run again") from None

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


class Section(Blob):
    """A blob in a spool."""

    def __init__(self, spool: Spool, start: int, size: int) -> None:
        self._spool, self._start, self.size = spool, start, size

    def read(self, offset: int, length: int) -> bytes:
        """As `Blob.read`."""
        length = min(length, self.size - offset)
        return self._spool.read(self._start + offset, length) if length > 0 else b""
