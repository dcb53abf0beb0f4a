"""Decompresses gzip in pieces, and checks the end of the stream.

Without its last eight bytes a stream decompresses to the right text and yet is cut; requests, curl and most readers
accept it. Does not depend on Arrow, which the API client does without.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

_GZIP_ONLY: Final = 31  # zlib's wbits: the largest window, and the gzip format only
_PIECE: Final = 1 << 18  # bytes that a compression bomb can make at once


class DamagedStreamError(ValueError):
    """The stream is damaged, cut short, or followed by something else. `cut`: it is known to be cut short."""

    def __init__(self, *, cut: bool = False) -> None:
        super().__init__()
        self.cut = cut


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The decompressed pieces of a stream; several members after each other are one stream (RFC 1952, 2.2).

    Raises:
        DamagedStreamError: The last member does not end where the stream ends, or a checksum is wrong.
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
                raise DamagedStreamError from None
            if piece:
                yield piece
            rest = member.unconsumed_tail or member.unused_data
    if not member.eof:
        raise DamagedStreamError(cut=True)
