"""The elements of a list are found, whatever is in them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.raw.json_tokens import split_elements

ELEMENTS = [
    b'{"id":"a"}',
    b"null",
    b"NaN",
    b"-1.5e3",
    b'"text"',
    b'"},{\\"id\\":\\"b\\"},["',
    b'"\\\\"',
    b'{"a":"\\\\","b":"]"}',
    b'{"a":1,"a":[1,2,{"b":[]}]}',
    b'{"m":"\xff\xfe"}',
    b"[" * 5000 + b"]" * 5000,
    b'{"a":tru, "b" "c"}',
    b"{]",
    b'{"events":[{"id":"x"},{"id":"y"}]}',
]


@pytest.mark.parametrize("gap", [b"", b" ", b"\r\n\t"])
@pytest.mark.parametrize("closing", [b"]", b"]}", b'],"has_more":false}', b"}"])
def test_every_element_comes_back_as_its_bytes(gap: bytes, closing: bytes) -> None:
    window = gap + (gap + b"," + gap).join(ELEMENTS) + gap + closing

    *found, end = split_elements(window)

    assert [window[s.start : s.end] for s in found] == ELEMENTS
    assert end.closing
    assert window[end.start :] == closing
    assert [window[s.next - 1 : s.next] for s in found] == [b","] * (len(ELEMENTS) - 1) + [closing[:1]]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (b"", []),
        (b"1", []),
        (b"]", [b""]),
        (b" ]", [b""]),
        (b"1,", [b"1"]),
        (b"1,]", [b"1", b""]),
        (b",,]", [b"", b"", b""]),
        (b"1 2,3]", [b"1 2", b"3"]),
        (b'{"a":1},{"b":2', [b'{"a":1}']),
        (b'{"a":"x},{', []),
        (b'1,{"a":"x},{\\"id\\":1},', [b"1"]),
        (b'1,"abc\\', [b"1"]),
        (b'1,"abc\\",2,3,', [b"1"]),
        (b"1],2]", [b"1"]),
    ],
)
def test_only_whole_elements_are_found(window: bytes, expected: list[bytes]) -> None:
    assert [window[s.start : s.end] for s in split_elements(window) if not s.closing] == expected


JSON = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('"\\{}[],:ä\n')),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.sampled_from('"\\{}[],:'), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(JSON, min_size=1, max_size=5), st.data())
def test_a_window_that_is_cut_anywhere_gives_the_first_elements(values: list[object], data: st.DataObject) -> None:
    texts = [json.dumps(value).encode() for value in values]
    whole = b",".join(texts) + b"]"
    cut = data.draw(st.integers(0, len(whole)))

    found = [whole[s.start : s.end] for s in split_elements(whole[:cut]) if not s.closing]

    ends = [len(b",".join(texts[: n + 1])) for n in range(len(texts))]
    assert found == [text for text, end in zip(texts, ends, strict=True) if end < cut]


def test_an_object_has_members_as_a_list_has_elements() -> None:
    raw = b'{"id":"a" , "x":[1,2],"y":"}"}'

    members = [raw[s.start : s.end] for s in split_elements(raw, 1) if not s.closing]
    assert members == [b'"id":"a"', b'"x":[1,2]', b'"y":"}"']


def test_a_long_string_that_never_ends_costs_one_pass() -> None:
    window = b"{" + b'"' + b'x},{\\"' * 500_000

    assert list(split_elements(window)) == []
