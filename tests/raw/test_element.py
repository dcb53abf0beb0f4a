"""One element: its job's id, whether the Arrow reader may try it, and why it is refused."""

from __future__ import annotations

import pytest

from ftetl.raw.element import RefusedElement, Scan, classify_element, find_job_id, find_job_ids, is_job_id

ELEMENTS: dict[bytes, tuple[str | None, str | None, bool]] = {
    b'{"id":"ft-1"}': ("ft-1", None, True),
    b'{"x":[{"id":"e"}],"id":"ft-1"}': ("ft-1", None, True),
    b'{"\\u0069d":"ft\\u002d1"}': ("ft-1", None, True),
    b'{"id":"ft-1","x":NaN}': ("ft-1", None, False),
    b'{"id":"ft-1","x":-Infinity}': ("ft-1", None, False),
    b"null": (None, "not_an_object", False),
    b"17": (None, "not_an_object", False),
    b'"ft-1"': (None, "not_an_object", False),
    b'[{"id":"ft-1"}]': (None, "not_an_object", False),
    b"NaN": (None, "not_an_object", False),
    b"{}": (None, "no_id", False),
    b'{"id":null}': (None, "no_id", False),
    b'{"id":"","x":NaN}': (None, "no_id", False),
    b'{"id":17}': (None, "bad_id", False),
    b'{"id":1.0}': (None, "bad_id", False),
    b'{"id":true}': (None, "bad_id", False),
    b'{"id":["ft-1"]}': (None, "bad_id", False),
    b'{"id":"\\ud800"}': (None, "bad_id", False),
    b'{"id":"a/b","x":NaN}': (None, "bad_id", False),
    b'{"id":"ft-1","x":1,}': ("ft-1", "broken_json", False),
    b'{"id":"ft-1"} {"id":"ft-2"}': ("ft-1", "broken_json", False),
    b'{"id":"ft-1"': (None, "broken_json", False),
    b'{"id":"\xff"}': (None, "broken_utf8", False),
    b'{"id":"ft-1","id":"ft-1","x":NaN}': ("ft-1", None, False),
    b'{"id":"ft-1","id":"ft-2","x":NaN}': (None, "duplicate_keys", False),
    b'{"id":"ft-1","x":' + b"[" * 2000 + b"]" * 2000 + b"}": ("ft-1", "too_deep", False),
    b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b',"id":"ft-1"}': ("ft-1", "too_deep", False),
    b'{"id":' + b"[" * 2000 + b"]" * 2000 + b"}": (None, "too_deep", False),
}


@pytest.mark.parametrize("raw", ELEMENTS, ids=lambda raw: raw[:40].decode("latin-1"))
def test_an_element_is_classified_on_its_own(raw: bytes) -> None:
    assert classify_element(raw) == ELEMENTS[raw]


@pytest.mark.parametrize(
    ("raw", "job_id"),
    [
        (b'{"id":"ft-1","x":NaN', "ft-1"),
        (b'{"x":1,"id":"ft-1', None),
        (b'{"id" : "ft-1" , "x":oops}', "ft-1"),
        (b'{"\\u0069\\u0064":"ft\\u002d1","x":oops}', "ft-1"),
        (b'{"events":[{"id":"e-1"}],"id":"ft-1","x":oops}', "ft-1"),
        (b'{"events":[{"id":"e-1"}],"x":oops}', None),
        (b'{"message":"\\"id\\":\\"x\\"","id":"ft-1","x":oops}', "ft-1"),
        (b'{"id":"ft-1","id":"ft-2"}', None),
        (b'{"id":"ft-1","\\u0069d":"ft-2"}', None),
        (b'{"id":"ft-1","id":null}', None),
        (b'{"id":"ft-1","id":"ft-1"}', "ft-1"),
        (b'{"id":"a b","x":oops}', None),
        (b'{"id":"\xff","x":oops}', None),
        (b'{"id":"\\ud800","x":oops}', None),
        (b'{"id":5,"x":oops}', None),
        (b'[{"id":"ft-1"}]', None),
        (b"", None),
        (b"oops", None),
    ],
)
def test_a_refused_element_has_an_id_only_if_it_has_exactly_one(raw: bytes, job_id: str | None) -> None:
    assert find_job_id(raw) == job_id


@pytest.mark.parametrize(
    ("raw", "job_ids"),
    [
        (b'{"id":"ft-1","x":oops}', {"ft-1"}),
        (b'{"id":"ft-1","\\u0069d":"ft-2"}', {"ft-1", "ft-2"}),
        (b'{"id":"ft-1","id":5,"y":{"id":"ft-3"}}', {"ft-1"}),
        (b'{"id":5}', set()),
        (b"7", set()),
    ],
)
def test_a_refused_element_could_be_each_of_its_ids(raw: bytes, job_ids: set[str]) -> None:
    assert find_job_ids(raw) == job_ids


@pytest.mark.parametrize("text", ["ft-1", "ft-0a1b2c3d-0001", "A.b_c:d-9", "x" * 128, "..", "0"])
def test_a_usable_id_is_short_plain_text(text: str) -> None:
    assert is_job_id(text)


@pytest.mark.parametrize(
    "text",
    ["", "x" * 129, "a/b", "../x", "a b", "a\n", "\nft-1", "ft-1\0", "\uff46t", "ft-\u202e1", "é", "a;b", "a%2fb"],
)
def test_other_ids_are_not_usable(text: str) -> None:
    assert not is_job_id(text)


def test_unusable_ids_are_refused_and_the_columns_stay_in_step() -> None:
    found = Scan()
    for at, text in enumerate(["ft-0", "", "ft-2", "../x", "ft-4", "é" * 3, "ft-6"]):
        if text in ("ft-2", "ft-6"):
            found.irregular.add(at)
        found.add(text, at * 10, 9)
    found.refused.append(RefusedElement(99, 1, "not_an_object", 7))
    found.received += 1

    found.refuse_bad_ids()

    assert found.ids == ["ft-0", "ft-2", "ft-4", "ft-6"]
    assert found.offsets == [0, 20, 40, 60]
    assert found.positions == [0, 2, 4, 6]
    assert [found.ids[i] for i in sorted(found.irregular)] == ["ft-2", "ft-6"]
    assert [(r.position, r.rule) for r in found.refused] == [
        (1, "no_id"),
        (3, "bad_id"),
        (5, "bad_id"),
        (7, "not_an_object"),
    ]
    assert found.received == 8
