"""The strict reader keeps what Python would change, refuses what is not clean, and never shows a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.contract import tables
from ftetl.raw import strict_json

SECRET = "s3cret"

EXACT = [
    "null",
    "true",
    "0",
    "-1",
    "-0",
    "1.50",
    "1e3",
    "1E+03",
    "1e400",
    "-0.0",
    "999999999999999999",
    "123456789012345678901234567890",
    "9" * 5000,
    '""',
    '"größe ☃ \U0001f600"',
    '"\\u0000\\n\\"\\\\"',
    '"\\ud800"',
    "[]",
    "{}",
    '{"b":1,"a":[1,[2.50],{"":null}]}',
    "NaN",
    "[Infinity,-Infinity]",
]


@pytest.mark.parametrize("text", EXACT)
def test_what_was_read_is_written_as_it_was(text: str) -> None:
    assert strict_json.compact(strict_json.parse(text.encode())) == text


def test_white_space_and_escapes_that_change_nothing_go() -> None:
    read = strict_json.parse(b' {"a\\u0062" :\t[ 1 ,\r\n "\\u00e9\\/" ] }\n')

    assert strict_json.compact(read) == '{"ab":[1,"é/"]}'


REFUSED = {
    "duplicate_keys": [b'{"a":1,"a":1}', b'{"a":null,"a":null}', b'{"a":1,"\\u0061":2}', b'[{"b":{"c":1,"c":2}}]'],
    "broken_utf8": [b'"\xff"', b'{"\xc3":1}', b'"\xed\xa0\x80"', b'"\xc0\xaf"', b"\xff\xfe[\x00"],
    "broken_json": [
        *(b"", b" ", b"{", b'{"a"}', b"[1,]", b'{"a":1,}', b"[,1]", b'"\n"', b'"\0"', b'"\\q"', b'"\\u12G4"', b'"abc'),
        *(b"01", b"1.", b".5", b"-", b"+1", b"1e", b"0x1", b"1_0", b"Inf", b"nan", b"tru", b"nul", b"{} {}", b"1 2"),
        *(b"\xef\xbb\xbf{}", b"{'a':1}", b"[1}", b"/*x*/1", b"\x0b1", "{\u00a0}".encode()),
    ],
    "too_deep": [b"[" * 201 + b"]" * 201, b'{"a":' * 201 + b"1" + b"}" * 201, b"[" * 200_000, b'[{"a":' * 100_000],
}


@pytest.mark.parametrize(("rule", "raw"), [(rule, raw) for rule, raws in REFUSED.items() for raw in raws])
def test_what_is_not_one_clean_value_is_refused_by_rule(rule: str, raw: bytes) -> None:
    with pytest.raises(strict_json.RefusedError) as refusal:
        strict_json.parse(raw)

    assert refusal.value.rule == rule


@pytest.mark.parametrize(
    "raw", [b"[" * 200 + b"]" * 200, b'["' + b"[" * 300 + b'"]', b'["\\"' + b"{" * 300 + b'"]', b"[[],{}]" + b" " * 9]
)
def test_depth_counts_brackets_that_are_open_and_none_in_strings(raw: bytes) -> None:
    strict_json.parse(raw)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(strict_json.parse(b"[" + b",".join([b"{}"] * 1000) + b"]")) == 1000


def test_depth_is_counted_from_where_the_value_lies() -> None:
    inside = b"[" * 199 + b"]" * 199
    strict_json.parse(inside, depth=1)

    with pytest.raises(strict_json.RefusedError):
        strict_json.parse(b"[" + inside + b"]", depth=1)


def test_long_and_fractional_numbers_stay_texts() -> None:
    read = strict_json.parse(b'[1,999999999999999999,1000000000000000000,-0,1.0,"1.0"]')

    assert [type(v) for v in read] == [int, int, strict_json.Num, strict_json.Num, strict_json.Num, str]


# --- canonical text


def test_canonical_text_knows_no_order_and_no_white_space() -> None:
    one = strict_json.parse(b'{"b":{"y":1,"x":[1,2]},"a":"\\u00e9"}')
    other = strict_json.parse('{ "a" : "é", "b": {"x": [1, 2], "y":1}}'.encode())

    assert (
        strict_json.compact(one, canonical=True)
        == strict_json.compact(other, canonical=True)
        == '{"a":"é","b":{"x":[1,2],"y":1}}'
    )


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec=None), max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_python_reads_what_was_written(value: Any, ascii_only: bool, indent: int | None) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    if ascii_only or not strict_json.has_lone_surrogate(json.dumps(value, ensure_ascii=False)):
        written = strict_json.compact(strict_json.parse(raw))
        assert json.loads(written) == value
        written.encode()  # no lone surrogate is left in it
        assert strict_json.compact(strict_json.parse(written.encode())) == written


@pytest.mark.parametrize(
    ("text", "mended"),
    [("a\ud800b", "a\ufffdb"), ("\udc00\ud800", "\ufffd\ufffd"), ("\U0001f600", "\U0001f600"), ("", "")],
)
def test_lone_surrogates_are_mended(text: str, mended: str) -> None:
    assert strict_json.mend(text) == mended
    assert strict_json.has_lone_surrogate(text) == (text != mended)


# --- secrets

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

    for text in (strict_json.compact(strict_json.parse(raw)), strict_json.mask(raw).decode()):
        assert SECRET not in text
        assert "1234567" not in text
        assert strict_json.MASK in text
    assert strict_json.compact(strict_json.parse(strict_json.mask(raw))) == strict_json.compact(strict_json.parse(raw))


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
    masked = strict_json.mask(raw)

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
    assert strict_json.mask(raw, before) == masked


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
    assert strict_json.mask(raw) == raw
