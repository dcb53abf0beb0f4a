"""The digest of a listed document."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.raw import fingerprint, secret_masking
from ftetl.raw.blob import Memory

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

    assert fingerprint.document_digest(json.dumps(document).encode()) == fingerprint.document_digest(
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
    assert fingerprint.document_digest(one) != fingerprint.document_digest(other)


def test_what_is_kept_has_the_digest_of_what_came() -> None:
    raw = b'{"id":"a","wandb_key":"s3cret"}'
    blob = secret_masking.mask_blob(Memory(raw))
    assert fingerprint.document_digest(raw) == fingerprint.document_digest(blob.read(0, blob.size))
