"""Gzip to its very end: what is whole comes out exactly, and anything less is an error."""

from __future__ import annotations

import gzip
import random

import pytest

from ftetl.raw.gunzip import DamagedStreamError, gunzip

TEXT = b"".join(b'{"id":"ft-%d"}\n' % number for number in range(2000))
PACKED = gzip.compress(TEXT)
ZEROS = gzip.compress(bytes(3_000_000))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (PACKED, TEXT),
        (PACKED + PACKED, TEXT + TEXT),
        (gzip.compress(b""), b""),
        (gzip.compress(b"") + PACKED, TEXT),
        (ZEROS, bytes(3_000_000)),
    ],
    ids=["one member", "two members", "empty", "empty member first", "zeros"],
)
def test_a_whole_stream_comes_out_however_it_came_in(packed: bytes, text: bytes, size: int) -> None:
    assert text == b"".join(gunzip(cut(packed, size)))


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        PACKED[:1],
        PACKED[: len(PACKED) // 2],
        PACKED[:-8],
        PACKED[:-1],
        PACKED + b"\0",
        PACKED + b"junk after the end",
        PACKED + PACKED[:-1],
        PACKED + PACKED[:3],
        flipped(PACKED, -5 % len(PACKED)),
        flipped(PACKED, -1 % len(PACKED)),
        TEXT,
    ],
    ids=lambda packed: f"{len(packed)} bytes",
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_stream_that_is_not_whole_is_refused(packed: bytes, size: int) -> None:
    with pytest.raises(DamagedStreamError):
        b"".join(gunzip(cut(packed, size)))


def test_no_cut_of_a_stream_is_taken_for_the_whole() -> None:
    for length in random.Random(1).sample(range(len(PACKED)), 300):
        with pytest.raises(DamagedStreamError):
            b"".join(gunzip([PACKED[:length]]))


def test_a_bomb_comes_out_in_pieces_that_can_be_counted() -> None:
    assert max(map(len, gunzip([gzip.compress(bytes(50_000_000))]))) <= 1 << 18
