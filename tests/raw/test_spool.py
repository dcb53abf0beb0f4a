"""Spooled bytes come back, at any place, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.errors import StorageError
from ftetl.raw.spool import Spool


@given(pieces=st.lists(st.binary(max_size=40), max_size=8), offset=st.integers(0, 50), length=st.integers(0, 50))
def test_a_section_reads_like_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], offset: int, length: int
) -> None:
    with Spool(lambda: tmp_path_factory.getbasetemp()) as spool:
        blobs = [spool.append(piece) for piece in pieces]

        assert [blob.size for blob in blobs] == [len(piece) for piece in pieces]
        assert [blob.read(offset, length) for blob in blobs] == [p[offset : offset + length] for p in pieces]


def test_no_file_is_made_before_it_is_needed_and_none_is_seen(tmp_path: Path) -> None:
    asked: list[int] = []

    def folder() -> Path:
        asked.append(1)
        return tmp_path

    with Spool(folder) as spool:
        assert not asked
        blobs = [spool.append(b"one"), spool.append(b"two")]
        assert not asked
        assert [blob.read(0, 9) for blob in blobs] == [b"one", b"two"]
        assert asked == [1]
        assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_reported(tmp_path: Path) -> None:
    message = "responses cannot be stored in the target for now"
    with Spool(lambda: tmp_path / "gone") as spool, pytest.raises(StorageError, match=message):
        spool.append(b"one").read(0, 1)
