"""The memory of what was listed when a detail was last had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl import memo
from ftetl.errors import StorageError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=5), st.randoms())
def test_the_order_of_keys_and_white_space_change_no_digest(document: dict[str, object], random: object) -> None:
    keys = list(document)
    random.shuffle(keys)  # type: ignore[attr-defined]
    again = {key: document[key] for key in keys}

    assert memo.digest(json.dumps(document).encode()) == memo.digest(
        json.dumps(again, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ) or any(0xD800 <= ord(c) < 0xE000 for c in json.dumps(document, ensure_ascii=False))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"id":"a","status":"running"}', b'{"id":"a","status":"completed"}'),
        (b'{"id":"a","x":[1,2]}', b'{"id":"a","x":[2,1]}'),
        (b'{"id":"a"}', b'{"id":"a","x":null}'),
        (b'{"id":"a","x":NaN}', b'{"id":"a","x":Infinity}'),
        (b'{"id":"a","x":"\xff"}', b'{"id":"a","x":"\xfe"}'),
    ],
)
def test_another_content_is_another_digest(one: bytes, other: bytes) -> None:
    assert memo.digest(one) != memo.digest(other)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.binary(min_size=32, max_size=32)))
def test_a_memory_comes_back_and_the_same_memory_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, memory: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("snapshot")
    (folder / memo.FILE).write_bytes(memo.bytes_of(memory))

    assert memo.load(folder) == memory
    assert memo.bytes_of(dict(reversed(memory.items()))) == memo.bytes_of(memory)


@pytest.mark.parametrize("folder", [None, "missing"])
def test_without_a_file_nothing_is_remembered(tmp_path: Path, folder: str | None) -> None:
    assert memo.load(folder and tmp_path / folder) == {}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / memo.FILE).write_bytes(b"no arrow")

    with pytest.raises(StorageError, match=memo.FILE):
        memo.load(tmp_path)
