"""The memory of what was listed when a detail was last had."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.errors import StorageError
from ftetl.extract.details import fingerprints


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.binary(min_size=32, max_size=32)))
def test_fingerprints_are_read_back_and_equal_ones_give_equal_bytes(
    tmp_path_factory: pytest.TempPathFactory, memory: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("snapshot")
    (folder / fingerprints.FILE).write_bytes(fingerprints.serialize(memory))

    assert fingerprints.read_fingerprints(folder) == memory
    assert fingerprints.serialize(dict(reversed(memory.items()))) == fingerprints.serialize(memory)


@pytest.mark.parametrize("folder", [None, "missing"])
def test_without_a_file_there_are_no_fingerprints(tmp_path: Path, folder: str | None) -> None:
    assert fingerprints.read_fingerprints(folder and tmp_path / folder) == {}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / fingerprints.FILE).write_bytes(b"no arrow")

    with pytest.raises(StorageError, match=fingerprints.FILE):
        fingerprints.read_fingerprints(tmp_path)


def test_a_fetched_detail_gets_the_listed_fingerprint_and_a_row_made_from_something_else_loses_it() -> None:
    old, new = hashlib.sha256(b"old").digest(), hashlib.sha256(b"new").digest()
    previous = dict.fromkeys(["fetched", "same", "changed", "unlisted", "twice", "untouched"], old)
    listed = {"fetched": new, "first": new, "same": old, "changed": new, "twice": b""}

    updated = fingerprints.updated_fingerprints(
        previous, [*listed, "fetched", "unlisted"], listed, {"fetched", "first", "twice"}
    )

    assert updated == {"fetched": new, "first": new, "same": old, "untouched": old}
