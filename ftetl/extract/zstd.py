"""Compression of the archive: zstd, by Arrow, which is imported only where a body is stored or read."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

ZSTD = "zstd"


def compress(data: bytes) -> bytes:
    """The bytes as one zstd frame."""
    packed: bytes = _codec().compress(data, asbytes=True)
    return packed


def decompress(packed: bytes) -> bytes:
    """The text of all frames; `b""` if they are damaged."""
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), ZSTD) as stream:
            data: bytes = stream.read()
    except (OSError, pa.ArrowException):
        return b""
    return data


@cache
def _codec() -> pa.Codec:
    import pyarrow as pa

    return pa.Codec(ZSTD)
