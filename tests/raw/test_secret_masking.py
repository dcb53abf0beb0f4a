"""No secret is in what is stored of a response, and all other bytes are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftetl.contract import tables
from ftetl.formatting import MASK
from ftetl.raw import secret_masking, strict_json
from ftetl.raw.blob import File, Memory

SECRET = "s3cret"
SECRETS = tables()["jobs"].secrets


def test_there_are_secrets_to_mask() -> None:
    assert SECRETS == ("hf_api_token", "wandb_key")


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize(
    "shape",
    [
        '{"KEY":"s3cret"}',
        '{"KEY" :\n "s3cret\\" more s3cret"}',
        '{"a":[{"b":{"KEY":"s3cret"}}]}',
        '{"KEY":{"a":{"b":["s3cret",{"c":"}s3cret"}]}},"x":1}',
        '{"KEY":["s3cret",["]","s3cret"]]}',
        '{"KEY":1234567}',
        '{"KEY":true}',
        '{"ESCAPED":"s3cret"}',
        '{"KEY":{"KEY":"s3cret"}}',
    ],
)
def test_secrets_are_masked_wherever_they_lie(key: str, shape: str) -> None:
    escaped = key[:-1] + f"\\u{ord(key[-1]):04X}"
    raw = shape.replace("KEY", key).replace("ESCAPED", escaped).encode()

    for text in (strict_json.compact_json(strict_json.parse(raw)), secret_masking.mask_secrets(raw).decode()):
        assert SECRET not in text
        assert "1234567" not in text
        assert MASK in text
    assert strict_json.parse(secret_masking.mask_secrets(raw)) == strict_json.parse(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"hf_api_token":"s3cret',
        b'{"hf_api_token":"s3cret\\',
        b'{"hf_api_token":{"a":"s3cret"',
        b'{"hf_api_token":["s3cret", "\xff s3cret"',
        b'{"hf_api_token":s3cret}',
        b"{\"hf_api_token\":'s3cret with s3cret'}",
        b'"wandb_key":"s3cret",,}}',
        b'{"a":NaN "wandb_key" : "s3cret"}',
        b'"unfinished {"wandb_key":"s3cret"}',
        b'{"a":1,"a":2,"\\u0077andb_ke\\u0079":"s3cret"}',
        b'{"wandb_key":"s3cret","wandb_key":"s3cret"}',
    ],
)
def test_secrets_are_masked_in_what_is_no_clean_json(raw: bytes) -> None:
    masked = secret_masking.mask_secrets(raw)

    assert SECRET.encode() not in masked
    assert b'"***"' in masked


@pytest.mark.parametrize(
    ("before", "raw", "masked"),
    [
        (b'{"id":"a","hf_api_token":\n', b'"s3cret","x":1}', b'"***","x":1}'),
        (b'{"wandb_key" : \r\n', b"s3cret,", b'"***",'),
        (b'{"\\u0077andb_key"\n', b': "s3cret"}', b': "***"}'),
        (b'{"wandb_key":', b'["s3cret"]}', b'"***"}'),
        (b'{"wandb_key":\n', b'{"id":"ft-2","x":1.}', b'{"id":"ft-2","x":1.}'),
        (b'{"wandb_key":', b"null}", b"null}"),
        (b'{"wandb_key":"x"}\n', b'"text"}', b'"text"}'),
        (b'["wandb_key",', b'"text"]', b'"text"]'),
        (b'{"key":', b'"text"}', b'"text"}'),
    ],
)
def test_a_secret_is_masked_whose_key_stands_before_the_bytes(before: bytes, raw: bytes, masked: bytes) -> None:
    assert secret_masking.mask_secrets(raw, before) == masked


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b'{"hf_api_token":null,"wandb_key":""}',
        b'{"message":"the hf_api_token is s3cret"}',
        b'["hf_api_token","s3cret"]',
        b'{"hf_api_token_":"x","xwandb_key":"y","m":"\\"wandb_key"}',
        b"\xff\x00{",
        b'{"wandb_key":',
    ],
)
def test_all_other_bytes_stay_as_they_are(raw: bytes) -> None:
    assert secret_masking.mask_secrets(raw) == raw


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
@pytest.mark.parametrize("place", [0, secret_masking._WINDOW - 17, secret_masking._WINDOW - 1, secret_masking._WINDOW])
def test_what_is_kept_is_exact_but_for_secrets(tmp_path: Path, raw: bytes, kept: bytes, place: int) -> None:
    raw, kept = b" " * place + raw, b" " * place + kept
    (tmp_path / "response").write_bytes(raw)
    for blob in (Memory(raw), File(tmp_path / "response")):
        masked = secret_masking.mask_blob(blob)
        assert masked.read(0, masked.size) == kept


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
    blob = secret_masking.mask_blob(Memory(raw), lines=True)

    assert blob.read(0, blob.size) == kept
