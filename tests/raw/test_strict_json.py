"""The strict reader keeps what Python would change, refuses what is not clean, and never shows a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.raw import strict_json

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
    assert strict_json.compact_json(strict_json.parse(text.encode())) == text


def test_white_space_and_escapes_that_change_nothing_go() -> None:
    read = strict_json.parse(b' {"a\\u0062" :\t[ 1 ,\r\n "\\u00e9\\/" ] }\n')

    assert strict_json.compact_json(read) == '{"ab":[1,"é/"]}'


REFUSED = {
    "duplicate_keys": [b'{"a":1,"a":1.0}', b'{"a":null,"a":0}', b'{"a":1,"\\u0061":2}', b'[{"b":{"c":1,"c":2}}]'],
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


REPEATED = {
    b'{"a":1,"a":1}': ('{"a":1}', [("a", 0)]),
    b'{"a":null,"a":null,"a":null}': ('{"a":null}', [("a", 0)]),
    b'{"b":2,"a":[1,{}],"\\u0061":[1,{}]}': ('{"b":2,"a":[1,{}]}', [("a", 0)]),
    b'{"x":{"y":1.0,"y":1.0},"e":[0,{"z":{"w":1,"w":1}}]}': (
        '{"x":{"y":1.0},"e":[0,{"z":{"w":1}}]}',
        [("x.y", 0), ("e.z.w", 1)],
    ),
    b'{"o":{"a":1,"b":2},"o":{"b":2,"a":1}}': ('{"o":{"a":1,"b":2}}', [("o", 0)]),
    b'{"wandb_key":"s","wandb_key":"s"}': ('{"wandb_key":"***"}', [("wandb_key", 0)]),
}


@pytest.mark.parametrize("raw", REPEATED)
def test_a_key_may_stand_again_with_the_same_value(raw: bytes) -> None:
    text, repeated = REPEATED[raw]

    value = strict_json.parse(raw)

    assert (strict_json.compact_json(value), list(strict_json.repeated_keys(value))) == (text, repeated)
    with pytest.raises(strict_json.RefusedError, match="duplicate_keys"):
        strict_json.parse(raw, unique=True)


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

    assert [type(v) for v in read] == [int, int, *[strict_json.NumberText] * 3, str]


# --- canonical text


def test_canonical_text_knows_no_order_and_no_white_space() -> None:
    one = strict_json.parse(b'{"b":{"y":1,"x":[1,2]},"a":"\\u00e9"}')
    other = strict_json.parse('{ "a" : "é", "b": {"x": [1, 2], "y":1}}'.encode())

    assert (
        strict_json.compact_json(one, canonical=True)
        == strict_json.compact_json(other, canonical=True)
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
        written = strict_json.compact_json(strict_json.parse(raw))
        assert json.loads(written) == value
        written.encode()  # no lone surrogate is left in it
        assert strict_json.compact_json(strict_json.parse(written.encode())) == written


@pytest.mark.parametrize(
    ("text", "mended"),
    [("a\ud800b", "a\ufffdb"), ("\udc00\ud800", "\ufffd\ufffd"), ("\U0001f600", "\U0001f600"), ("", "")],
)
def test_lone_surrogates_are_mended(text: str, mended: str) -> None:
    assert strict_json.replace_surrogates(text) == mended
    assert strict_json.has_lone_surrogate(text) == (text != mended)
