"""The counts of unreadable and missing values, made in Arrow, are those of plain Python."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.transform.column_drift import UNREADABLE, MissingKey, ReadJobs, columns_below, find_unreadable, form_of
from ftetl.transform.missing_values import MissingValues

IDS = [f"ft-{letter}" for letter in "abcdefgh"]
PATHS = {
    "total_price": ["total_price_nanousd", "total_price_usd"],
    "training_type": ["training_type", "lora_r"],
    "training_type.lora_r": ["lora_r"],
    "queue_depth": ["queue_depth"],
    "events.created_at": [],
    "no_such_key": [],
}
VALUES = {"total_price_nanousd": 5, "training_type": "Full", "lora_r": 8, "queue_depth": 3}
Anomaly = tuple[str, str, str]  # job, path, kind


def rows(table: str, *found: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(found), schema=schema(tables()[table]))


def anomalies(found: set[Anomaly]) -> pa.Table:
    raws = [{"job_id": job_id, "path": path, "kind": kind, "raw": '"9"'} for job_id, path, kind in sorted(found)]
    return rows("anomalies", *raws)


anomaly_sets = st.sets(
    st.tuples(st.sampled_from(IDS), st.sampled_from(sorted(PATHS)), st.sampled_from([*UNREADABLE, "unknown_enum"])),
    max_size=20,
)
ids = st.sets(st.sampled_from(IDS))
stored_rows = st.dictionaries(st.sampled_from(IDS), st.sets(st.sampled_from(sorted(VALUES))))


@given(anomaly_sets, anomaly_sets, stored_rows, ids, ids, ids)
def test_unreadable_values_are_counted_as_by_hand(
    current: set[Anomaly],
    before: set[Anomaly],
    stored: dict[str, set[str]],
    replaced: set[str],
    detailed: set[str],
    with_events: set[str],
) -> None:
    jobs = rows("jobs", *({"job_id": i, **{c: VALUES[c] for c in stored[i]}} for i in sorted(stored)))
    read = ReadJobs(*(pa.array(sorted(found), pa.string()) for found in (replaced, detailed, with_events)))

    found = {u.path: u for u in find_unreadable(anomalies(current), anomalies(before), jobs, read)}

    assert found.keys() == {path for _, path, kind in current if kind in UNREADABLE} - {"no_such_key"}
    for path, counted in found.items():
        scope = with_events if path.startswith("events.") else detailed if path == "queue_depth" else replaced
        odd, was = ({i for i, p, kind in of if p == path and kind in UNREADABLE} for of in (current, before))
        had = {i for i in scope if stored.get(i, set()) & set(PATHS[path])}
        others = {i for i in scope if i not in had and i not in was}
        assert (counted.had, counted.lost) == (len(had), len(had & odd))
        assert (counted.others, counted.unreadable_others) == (len(others), len(others & odd))
        assert counted.stored == len(was - had)
        assert counted.jobs == len((had | others) & odd)
        assert counted.vital == (path in ("total_price", "events.created_at"))
        assert counted.form == "text of digits"


cells = st.fixed_dictionaries(
    {"status": st.sampled_from([None, "running", "completed"])},
    optional={name: st.sampled_from([None, value]) for name, value in VALUES.items()},
)


@given(st.dictionaries(st.sampled_from(IDS), st.tuples(cells, cells)), ids, ids, anomaly_sets, st.integers(0, 8))
def test_missing_values_are_counted_as_by_hand(
    pairs: dict[str, tuple[Any, Any]], replaced: set[str], detailed: set[str], odd: set[Anomaly], cut: int
) -> None:
    missing = MissingValues()
    order = sorted(pairs)
    for part in (order[:cut], order[cut:]):
        old, new = (rows("jobs", *({"job_id": i, **pairs[i][n]} for i in part)) for n in (0, 1))
        masks = (pa.array([i in of for i in part], pa.bool_()) for of in (replaced, detailed))
        missing.add_jobs(new, old, *masks)

    found = {m.path: m for m in missing.found(anomalies(odd))}

    expected = {}
    for path, column in (
        *(("total_price", "total_price_nanousd"), ("training_type.type", "training_type")),
        *(("training_type.lora_r", "lora_r"), ("queue_depth", "queue_depth"), ("status", "status")),
    ):
        scope = [i for i in order if i in (detailed if path == "queue_depth" else replaced)]
        if path not in ("total_price", "status"):
            scope = [i for i in scope if pairs[i][1]["status"] in (None, pairs[i][0]["status"])]
        had = [i for i in scope if pairs[i][0].get(column) is not None]
        unreadable = {i for i, p, kind in odd if kind in UNREADABLE and f"{path}.".startswith(f"{p}.")}
        gone = [i for i in had if pairs[i][1].get(column) is None and i not in unreadable]
        if gone:
            vital = path in ("total_price", "status")
            expected[path] = MissingKey(path, vital, len(scope), len(had), len(gone))
    assert found == expected


def test_a_column_of_two_forms_is_missing_only_if_neither_has_a_value() -> None:
    missing = MissingValues()
    old = rows("jobs", {"job_id": "a", "batch_size": 8, "batch_size_max": False})
    new = rows("jobs", {"job_id": "a", "batch_size": None, "batch_size_max": True})
    yes = pa.array([True])

    missing.add_jobs(new, old, yes, yes)

    assert list(missing.found(anomalies(set()))) == []


def test_events_are_compared_by_job_over_all_pieces() -> None:
    missing = MissingValues()
    new = rows("events", *({"job_id": i, "position": n, "type": "refund"} for i in "abc" for n in (0, 1)))
    for job_id in "abc":
        old = {"job_id": job_id, "position": 0, "type": "refund", "message": "m", "step": 5 if job_id == "a" else None}
        missing.add_events(rows("events", old), new)
    missing.add_events(rows("events"), new)

    odd = {("b", "events.message", "wrong_type")}
    assert list(missing.found(anomalies(odd))) == [
        MissingKey("events.message", vital=False, compared=3, had=3, jobs=2),
        MissingKey("events.step", vital=False, compared=3, had=1, jobs=1),
    ]


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        ('"1500"', "text of digits"),
        ('"-1500"', "text of digits"),
        ('"15.00"', "text of a number"),
        ('"1e9"', "text of a number"),
        ('"$15"', "text"),
        ('"2026-07-02"', "text"),
        ('""', "text"),
        ("{}", "object"),
        ("[1]", "list"),
        ("true", "boolean"),
        ("1500", "integer"),
        ("-1", "integer"),
        ("4.5", "number with a fraction"),
        ("4.0", "number with a fraction"),
        ("-4e9", "number with an exponent"),
        ("4.25E9", "number with an exponent"),
        ("NaN", "another form"),
        (None, "another form"),
    ],
)
def test_the_form_of_a_value_is_told_without_the_value(raw: str | None, form: str) -> None:
    assert form_of(raw) == form


def test_the_columns_below_a_path_are_those_of_the_contract() -> None:
    assert [c.name for c in columns_below("total_price")] == ["total_price_nanousd", "total_price_usd"]
    assert [c.name for c in columns_below("Suffix")] == ["suffix"]
    assert {c.name for c in columns_below("training_type")} >= {"training_type", "lora_r", "lora_alpha"}
    assert [c.name for c in columns_below("events.created_at")] == ["created_at"]
    assert columns_below("training") == ()
