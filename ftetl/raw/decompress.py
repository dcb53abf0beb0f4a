"""Decompresses gzip and zstd streams; one that is cut short, damaged or followed by something else is refused."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from ftetl.config import limits
from ftetl.errors import DataError
from ftetl.raw.blob import Spooled
from ftetl.raw.gunzip import DamagedStreamError, gunzip
from ftetl.raw.spool import write_spooled


class Compression(StrEnum):
    """The compression of a stream."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


_MAGIC: Final = {b"\x1f\x8b": Compression.GZIP, b"\x28\xb5\x2f\xfd": Compression.ZSTD}
_LONGEST_MAGIC: Final = max(map(len, _MAGIC))


def read_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The rest of a stream, in pieces."""
    while piece := stream.read(limits.CHUNK):
        yield piece


def sniff_compression(pieces: Iterator[bytes]) -> tuple[Compression, Iterator[bytes]]:
    """The compression of a stream, by its first bytes, and the stream with these bytes still in it."""
    head = b""
    while len(head) < _LONGEST_MAGIC and (piece := next(pieces, b"")):
        head += piece
    matches = (compression for magic, compression in _MAGIC.items() if head.startswith(magic))
    return next(matches, Compression.NONE), chain([head], pieces)


def decompress_to_file(
    pieces: Iterable[bytes], compression: Compression, folder: Path, *, max_bytes: int, name: str
) -> Spooled:
    """The decompressed stream as a blob in a temporary file in the folder; `name` is for messages.

    Raises:
        DataError: The stream is cut short or damaged, or has more than `max_bytes` when decompressed.
        StorageError: The file cannot be written.
    """
    readers: dict[Compression, Callable[[Iterable[bytes]], Iterator[bytes]]]
    readers = {Compression.NONE: iter, Compression.GZIP: gunzip, Compression.ZSTD: _unzstd}
    try:
        return write_spooled(_limited(readers[compression](pieces), max_bytes, name), folder, name)
    except DamagedStreamError:
        raise DataError("F09", f"{name} is cut short or damaged", next=f"save it again ({compression})") from None


def _limited(pieces: Iterable[bytes], max_bytes: int, name: str) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > max_bytes:
            what = f"{name} unpacks to more than {max_bytes:,} bytes"
            raise DataError("H23", what, next="raise --max-bytes if that is right")
        yield piece


def _unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    import pyarrow as pa  # here, since it takes longer to import than all else that a plain file needs

    feed = iter(pieces)
    first = next(feed, b"")
    if not first:
        raise DamagedStreamError
    source = _PieceReader(chain([first], feed))
    stream = pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd")
    while True:
        try:
            piece = stream.read(limits.CHUNK)
        except OSError:  # pyarrow's, for an incomplete frame or a wrong checksum
            if source.failure is not None:
                raise source.failure from None
            raise DamagedStreamError from None
        if not piece:
            return
        yield piece


class _PieceReader(io.RawIOBase):
    """Pieces as the file that pyarrow wants; keeps the error of the stream that they come from."""

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
