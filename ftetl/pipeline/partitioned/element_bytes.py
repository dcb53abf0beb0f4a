"""The bytes of elements of many files: read from the files in place, or from the spool of those that came along."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from ftetl.errors import DataError
from ftetl.pipeline.partitioned.elements import shared_stamp
from ftetl.raw.blob import Blob, File
from ftetl.raw.response import changed_error, file_stamp
from ftetl.raw.spool import Spool

_OPEN_FILES = 64  # at once
_CARRIED = 1 << 62  # what is added to the offset of an element that is in the spool; no file is so large


class ElementBytes:
    """Opens files as they are needed, a few at a time, and keeps the bytes of elements that are in none."""

    def __init__(self, spool: Spool) -> None:
        self._spool, self._spooled = spool, 0
        self._opened: Callable[[str], File] = lru_cache(maxsize=_OPEN_FILES)(lambda path: File(Path(path)))

    def keep(self, raw: bytes) -> int:
        """Keep the bytes of an element; the offset to read them from, of any blob.

        Raises:
            StorageError: The disk is full.
        """
        start = _CARRIED + self._spooled
        self._spool.append(raw)
        self._spooled += len(raw)
        return start

    def blob(self, path: str) -> Blob:
        """The bytes of a file and those that were kept, at their offsets."""
        return _Bytes(self, path)

    def read(self, path: str, offset: int, length: int) -> bytes:
        """The bytes at an offset.

        Raises:
            DataError: This machine has no such file.
        """
        if offset >= _CARRIED:
            return self._spool.read(offset - _CARRIED, length)
        try:
            return self._opened(path).read(offset, length)
        except OSError as error:
            raise unseen_error(path, error) from None


class _Bytes(Blob):
    size = _CARRIED

    def __init__(self, source: ElementBytes, path: str) -> None:
        self._source, self._path = source, path

    def read(self, offset: int, length: int) -> bytes:
        """As `Blob.read`."""
        return self._source.read(self._path, offset, length)


def require_unchanged(path: str, stamp: str, name: str) -> None:
    """Check that a file is as it was when it was indexed.

    Raises:
        DataError: It was changed, or this machine has no such file.
    """
    try:
        now = shared_stamp(file_stamp(Path(path)))
    except OSError as error:
        raise unseen_error(path, error) from None
    if now != stamp:
        raise changed_error(name)


def unseen_error(path: str, error: OSError) -> DataError:
    """The error of a file that one machine sees and this one does not."""
    what = f"{path} cannot be read on {socket.gethostname()} ({error.strerror})"
    return DataError("F12", what, next="put the files where every machine sees them under the same path")
