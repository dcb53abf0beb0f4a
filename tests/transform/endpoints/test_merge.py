"""The merge of the tables of other endpoints, with `files` as the example, and tables of several rows a group."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.transform.endpoints import EndpointRows, merge
from ftetl.transform.endpoints.merge import MergedTable

FILES = tables()["files"]
# A table of several rows a group: a month, and the place in it.
GROUPED = replace(FILES, name="files", key=("project", "purpose", "file_id"), group="purpose")
FIRST, LATER = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 2, tzinfo=UTC)
NO_ANOMALIES = schema(tables()[merge.ANOMALIES]).empty_table()


def rows(at: datetime, *files: dict[str, Any]) -> pa.Table:
    empty = dict.fromkeys(FILES.names)
    common = {"project": "p", "present": True, "first_seen_at": at, "observed_at": at, "purpose": "x"}
    return pa.Table.from_pylist([{**empty, **common, **file} for file in files], schema=schema(FILES))


def listed(at: datetime, *files: dict[str, Any], **more: Any) -> EndpointRows:
    found = rows(at, *files)
    return EndpointRows(found, found.column("file_id").to_pylist(), whole=True, **more)


def merged(stored: pa.Table, new: EndpointRows, anomalies: pa.Table = NO_ANOMALIES) -> MergedTable:
    return merge.merge(FILES, stored, anomalies, new, "p")


def told(found: MergedTable, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[c] for c in columns) for row in found.rows.to_pylist()]


def test_the_first_rows_are_those_of_the_response_in_key_order() -> None:
    found = merged(rows(FIRST), listed(FIRST, {"file_id": "b"}, {"file_id": "a"}))

    assert told(found, "file_id", "present", "first_seen_at") == [("a", True, FIRST), ("b", True, FIRST)]


def test_the_same_response_later_changes_nothing() -> None:
    stored = rows(FIRST, {"file_id": "a", "bytes": 5}, {"file_id": "b"})

    assert merged(stored, listed(LATER, {"file_id": "b"}, {"file_id": "a", "bytes": 5})).rows.equals(stored)


def test_a_changed_row_has_the_later_time_and_keeps_when_it_was_first_seen() -> None:
    stored = rows(FIRST, {"file_id": "a", "bytes": 5}, {"file_id": "b"})

    found = merged(stored, listed(LATER, {"file_id": "a", "bytes": 6}, {"file_id": "b"}, {"file_id": "c"}))

    columns = ("file_id", "bytes", "first_seen_at", "observed_at")
    expected = [("a", 6, FIRST, LATER), ("b", None, FIRST, FIRST), ("c", None, LATER, LATER)]
    assert told(found, *columns) == expected


def test_a_file_that_vanished_is_kept_as_missing_and_comes_back() -> None:
    gone = merged(rows(FIRST, {"file_id": "a", "bytes": 5}), listed(LATER))
    back = merged(gone.rows, listed(LATER, {"file_id": "a", "bytes": 5}))

    assert told(gone, "file_id", "bytes", "present") == [("a", 5, False)]
    assert told(back, "file_id", "bytes", "present", "first_seen_at") == [("a", 5, True, FIRST)]


def test_a_response_that_is_not_usable_changes_nothing() -> None:
    stored = rows(FIRST, {"file_id": "a"})

    assert merged(stored, EndpointRows(rows(LATER), refused={"": "no"})).rows.equals(stored)


def test_a_file_whose_element_is_quarantined_is_not_missing() -> None:
    stored = rows(FIRST, {"file_id": "a"}, {"file_id": "b"})
    named = QuarantinedElement(b'{"id":"a","x":1,"x":2}', "duplicate_keys", None, "GET /files", 0, LATER)
    unnamed = QuarantinedElement(b"7", "not_an_object", None, "GET /files", 0, LATER)

    assert told(merged(stored, listed(LATER, quarantined=[named])), "file_id", "present") == [("a", True), ("b", False)]
    assert merged(stored, listed(LATER, quarantined=[unnamed])).rows.equals(stored)


def test_all_rows_of_a_group_are_replaced_and_those_of_others_stay() -> None:
    stored = rows(
        FIRST,
        {"file_id": "1", "purpose": "june"},
        {"file_id": "2", "purpose": "june"},
        {"file_id": "1", "purpose": "may"},
    )
    incoming = rows(LATER, {"file_id": "1", "purpose": "june", "bytes": 9})

    found = merge.merge(GROUPED, stored, NO_ANOMALIES, EndpointRows(incoming, ["june"]), "p")

    assert told(found, "purpose", "file_id", "bytes", "observed_at") == [
        ("june", "1", 9, LATER),
        ("may", "1", None, FIRST),
    ]


def test_a_group_without_rows_any_more_loses_them() -> None:
    stored = rows(FIRST, {"file_id": "1", "purpose": "june"}, {"file_id": "1", "purpose": "may"})

    found = merge.merge(GROUPED, stored, NO_ANOMALIES, EndpointRows(rows(LATER), ["june"]), "p")

    assert told(found, "purpose") == [("may",)]


def test_anomalies_of_a_replaced_group_give_way_to_its_new_ones() -> None:
    odd = listed(FIRST, {"file_id": "a"}, {"file_id": "b"})
    odd.anomalies = [Anomaly(i, "bytes", "wrong_type", '"x"') for i in ("a", "b")]
    first = merged(rows(FIRST), odd)
    only_a = EndpointRows(rows(LATER, {"file_id": "a"}), ["a"], anomalies=[Anomaly("a", "bytes", "out_of_range", "-1")])

    found = merged(first.rows, only_a, first.anomalies)

    kinds = {(row["group_id"], row["kind"]) for row in found.anomalies.to_pylist()}
    assert kinds == {("a", "out_of_range"), ("b", "wrong_type")}


_FILES = st.dictionaries(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 2)))


@given(st.lists(_FILES, max_size=5))
def test_after_any_lists_a_row_is_the_newest_one_and_is_present_if_the_last_list_has_it(
    lists: list[dict[str, Any]],
) -> None:
    stored = rows(FIRST)
    expected: dict[str, Any] = {}
    for number, files in enumerate(lists):
        at = FIRST.replace(hour=number)
        found = merged(stored, listed(at, *({"file_id": i, "bytes": size} for i, size in files.items())))
        expected |= files
        stored = found.rows

        present = {row["file_id"]: row["present"] for row in stored.to_pylist()}
        assert {row["file_id"]: row["bytes"] for row in stored.to_pylist()} == expected
        assert present == {i: i in files for i in expected}
        assert [*present] == sorted(present)
