"""A file that is hashed while it is written, and made durable when it is closed."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from ftetl.errors import FtetlError, StorageError
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.manifest import StoredFile

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BLOCK = 1 << 20


class DurableFile(io.BufferedIOBase):
    """A new file, open for writing in one thread at a time.

    `close` sets the mode, makes it durable and calls `done` with its length and SHA-256. A file that an exception left,
    or that was never closed, is abandoned: `done` is not called. After an error, further writes and flushes raise it
    again.
    """

    def __init__(self, fs: Fs, folder: Folder, name: str, *, mode: int, done: Callable[[StoredFile], None]) -> None:
        self._descriptor = -1
        self.name = name
        self._fs, self._path, self._mode, self._done = fs, folder.path / name, mode, done
        self._pending = bytearray()
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self._error: FtetlError | None = None
        self._descriptor = fs.create(folder, name)

    def writable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The number of bytes written so far."""
        return self._bytes

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes; they reach the file in large blocks."""
        if self.closed:
            raise ValueError("write to closed file")
        view = memoryview(data).cast("B")
        self._pending += view
        self._bytes += len(view)
        if len(self._pending) >= BLOCK:
            self.flush()
        return len(view)

    def flush(self) -> None:
        """Hand pending bytes to the operating system."""
        if self._error is not None:
            raise self._error
        if self._pending:
            self._sha256.update(self._pending)
            with self._final_errors():
                self._fs.write(self._descriptor, self._pending, self._path)
            self._pending = bytearray()

    def close(self) -> None:
        """Make the file durable and report it as done; closing again does nothing."""
        if self.closed:
            return
        try:
            self.flush()
            with self._final_errors():
                self._fs.chmod(self._descriptor, self._mode, self._path)
                self._fs.sync(self._descriptor, self._path)
                descriptor, self._descriptor = self._descriptor, -1
                self._fs.close(descriptor, self._path)
        finally:
            self.abandon()
        self._done(StoredFile(self.name, self._bytes, self._sha256.hexdigest()))

    def abandon(self) -> None:
        """Close the descriptor without reporting the file as done."""
        self._pending, self._error = bytearray(), None
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(FtetlError):
                self._fs.close(descriptor, self._path)
        super().close()

    @contextlib.contextmanager
    def _final_errors(self) -> Iterator[None]:
        try:
            yield
        except FtetlError as error:
            self._error = error
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def __del__(self) -> None:
        self.abandon()  # the base class would close, and so report half a file as done


def write_durable_file(fs: Fs, folder: Folder, name: str, data: bytes, *, mode: int) -> None:
    """Write a small new file and read it back; after an error it is removed, where that is possible.

    Raises:
        StorageError: Also where the bytes read are not those written.
    """

    def remove() -> None:
        with contextlib.suppress(FtetlError):
            fs.unlink(folder, name)

    file = DurableFile(fs, folder, name, mode=mode, done=lambda _: None)
    with contextlib.ExitStack() as undo:
        undo.callback(remove)
        with file:
            file.write(data)
        if fs.read_bytes(folder, name) != data:
            raise read_back_error(folder, name)
        undo.pop_all()


def read_back_error(folder: Folder, name: str) -> StorageError:
    """The error for a file that does not read back as it was written."""
    return StorageError("S08", f"{folder.path / name} does not read back as it was written", next="check the disk")
