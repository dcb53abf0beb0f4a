"""The digest of a listed document, and what is kept of an answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.raw import fingerprint
from ftetl.raw.blob import File, Memory

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

    assert fingerprint.digest(json.dumps(document).encode()) == fingerprint.digest(
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
    assert fingerprint.digest(one) != fingerprint.digest(other)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{"id":"a","wandb_key":"s3cret"}', b'{"id":"a","wandb_key":"***"}'),
        (b'{"id":"a","hf_api\\u005ftoken" : {"x":1}}', b'{"id":"a","hf_api\\u005ftoken" : "***"}'),
        (b'{"id":"a","wandb_key":null}', b'{"id":"a","wandb_key":null}'),
        (b'{"id":"wandb_key"}', b'{"id":"wandb_key"}'),
        (b"", b""),
    ],
)
@pytest.mark.parametrize("place", [0, fingerprint._WINDOW - 17, fingerprint._WINDOW - 1, fingerprint._WINDOW])
def test_what_is_kept_is_exact_but_for_secrets(tmp_path: Path, raw: bytes, kept: bytes, place: int) -> None:
    raw, kept = b" " * place + raw, b" " * place + kept
    (tmp_path / "answer").write_bytes(raw)
    for blob in (Memory(raw), File(tmp_path / "answer")):
        found = fingerprint.masked(blob)
        assert found.read(0, found.size) == kept


def test_what_is_kept_has_the_digest_of_what_came() -> None:
    raw = b'{"id":"a","wandb_key":"s3cret"}'
    blob = fingerprint.masked(Memory(raw))
    assert fingerprint.digest(raw) == fingerprint.digest(blob.read(0, blob.size))


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'"wandb_key"\n{"id":"a"}\n{"id":"b"}\n', b'"wandb_key"\n{"id":"a"}\n{"id":"b"}\n'),
        (b'{"id":"x","wandb_key":\n  {"id":"a"}', b'{"id":"x","wandb_key":\n  {"id":"a"}'),
        (b'{"id":"x","wandb_key":\n\n"s3cret"}\n{"id":"a"}', b'{"id":"x","wandb_key":\n\n"***"}\n{"id":"a"}'),
        (b'{"id":"x","wandb_key":\r{"k":"s3cret"}}\n{"id":"a"}', b'{"id":"x","wandb_key":\r"***"}\n{"id":"a"}'),
        (b'{"id":"x","wandb_key":"s3cret"}\r\n{"id":"a"}', b'{"id":"x","wandb_key":"***"}\r\n{"id":"a"}'),
    ],
)
def test_of_lines_no_secret_swallows_the_next_job(raw: bytes, kept: bytes) -> None:
    blob = fingerprint.masked(Memory(raw), lines=True)

    assert blob.read(0, blob.size) == kept
