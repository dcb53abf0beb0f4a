"""Bytes that can be read once become a file that can be read anywhere: unpacked, whole, and not too large.

Knows compressions, nothing of what is compressed. What is cut short, damaged or followed by something else is refused,
never shortened in silence.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from ftetl.config import limits
from ftetl.errors import DataError, StorageError
from ftetl.raw.blob import Spooled
from ftetl.raw.gunzip import DamagedGzipError, gunzip


class Compression(StrEnum):
    """How a stream is packed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


_MAGIC: Final = {b"\x1f\x8b": Compression.GZIP, b"\x28\xb5\x2f\xfd": Compression.ZSTD}
_LONGEST_MAGIC: Final = max(map(len, _MAGIC))


class DamagedZstdError(ValueError):
    """The stream is cut short, damaged, or followed by something else."""


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """What is left of a stream, in pieces."""
    while piece := stream.read(limits.CHUNK):
        yield piece


def sniffed(pieces: Iterator[bytes]) -> tuple[Compression, Iterator[bytes]]:
    """How a stream is packed, by its first bytes, and the stream with these bytes still in it."""
    head = b""
    while len(head) < _LONGEST_MAGIC and (piece := next(pieces, b"")):
        head += piece
    found = (compression for magic, compression in _MAGIC.items() if head.startswith(magic))
    return next(found, Compression.NONE), chain([head], pieces)


def unpack(pieces: Iterable[bytes], compression: Compression, folder: Path, *, max_bytes: int, name: str) -> Spooled:
    """The unpacked stream as a blob; `name` is what messages call the stream.

    Raises:
        DataError: The stream is cut short or damaged, or unpacks to more than `max_bytes`.
        StorageError: The file cannot be written.
    """
    try:
        return put(_bounded(_unpacked(pieces, compression), max_bytes, name), folder, name)
    except (DamagedGzipError, DamagedZstdError):
        raise DataError("F09", f"{name} is cut short or damaged", next=f"save it again ({compression})") from None


def put(pieces: Iterable[bytes], folder: Path, name: str) -> Spooled:
    """These bytes as a blob, in a file in this folder that has no name: it goes with the process, however that ends.

    Raises:
        StorageError: The file cannot be written.
    """
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
    except OSError:
        raise _no_room(name) from None
    with file:
        size = 0
        for piece in pieces:
            size += len(piece)
            try:
                file.write(piece)
            except OSError:
                raise _no_room(name) from None
        try:
            file.flush()
            there = os.fstat(file.fileno()).st_size
            spooled = Spooled(os.dup(file.fileno()))
        except OSError:
            raise _no_room(name) from None
        if there != size:  # else an answer could be cut between two jobs, and nobody would see it
            spooled.close()
            raise StorageError("S08", f"{name} does not read back as it was written", next="check the disk")
        return spooled


def _bounded(pieces: Iterable[bytes], max_bytes: int, name: str) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > max_bytes:
            raise DataError(
                "H23", f"{name} unpacks to more than {max_bytes:,} bytes", next="raise --max-bytes if that is right"
            )
        yield piece


def _unpacked(pieces: Iterable[bytes], compression: Compression) -> Iterable[bytes]:
    match compression:
        case Compression.NONE:
            return pieces
        case Compression.GZIP:
            return gunzip(pieces)
        case Compression.ZSTD:
            return _unzstd(pieces)


def _unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    import pyarrow as pa  # here, since it costs more than everything else that a plain file needs

    feed = iter(pieces)
    first = next(feed, b"")
    if not first:
        raise DamagedZstdError
    source = _Feed(chain([first], feed))
    stream = pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd")
    while True:
        try:
            piece = stream.read(limits.CHUNK)
        except OSError:  # pyarrow's own, for a frame that does not end or whose checksum is wrong
            if source.failure is not None:
                raise source.failure from None
            raise DamagedZstdError from None
        if not piece:
            return
        yield piece


class _Feed(io.RawIOBase):
    """Pieces as the file that pyarrow wants, which remembers what went wrong on their side."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""
        self.failure: OSError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what RawIOBase.read really gives
        try:
            self._rest = self._rest or next(self._pieces, b"")
        except OSError as error:
            self.failure = error
            raise
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _no_room(name: str) -> StorageError:
    return StorageError("S01", f"{name} cannot be unpacked: its text cannot be written", next="look for free space")
