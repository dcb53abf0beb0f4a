"""Whether a file is lines is found without holding a line that may be larger than the memory."""

from __future__ import annotations

import pytest

from ftetl.raw import parts
from ftetl.raw.blob import Memory

LARGEST = 2 << 20  # bytes that may be read at once


class Watched(Memory):
    """Bytes of which never many are read at once."""

    def read(self, offset: int, length: int) -> bytes:
        data = super().read(offset, length)
        assert len(data) <= LARGEST
        return data


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n  \n"])
def test_one_line_is_not_read_whole(end: bytes) -> None:
    body = b'{"data":[' + b'{"id":"ft-1"},' * 500_000 + b'{"id":"ft-2"}]}' + end

    assert not parts.is_lines(Watched(body))


@pytest.mark.parametrize(("body", "expected"), [(b'{"id":"a"}\n{"id":"b"}', True), (b'{"data":[\n{"id":"a"}]}', False)])
def test_lines_are_known_by_the_first_two(body: bytes, expected: bool) -> None:
    assert parts.is_lines(Watched(body)) is expected
