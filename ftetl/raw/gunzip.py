"""Gzip, read in pieces and to its very end.

Knows neither files nor the network. The end counts: a stream without its last eight bytes decompresses to the right
text and yet is cut, and requests, curl and most readers accept it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

_GZIP_ONLY: Final = 31  # zlib's wbits: the largest window, and nothing but the gzip format
_PIECE: Final = 1 << 18  # what a bomb can make at once


class DamagedGzipError(ValueError):
    """The stream is cut short, damaged, or followed by something else; `cut` tells the first from the others."""

    def __init__(self, *, cut: bool = False) -> None:
        super().__init__()
        self.cut = cut


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The decompressed pieces of a stream; several members after each other are one stream (RFC 1952, 2.2).

    Raises:
        DamagedGzipError: The last member does not end where the stream ends, or a checksum is wrong.
    """
    member = zlib.decompressobj(_GZIP_ONLY)
    for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                member = zlib.decompressobj(_GZIP_ONLY)
            try:
                piece = member.decompress(rest, _PIECE)
            except zlib.error:
                raise DamagedGzipError from None
            if piece:
                yield piece
            rest = member.unconsumed_tail or member.unused_data
    if not member.eof:
        raise DamagedGzipError(cut=True)
