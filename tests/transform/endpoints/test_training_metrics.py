"""The responses of `GET /fine-tunes/{id}/metrics` as rows.

`data/training_metrics/` has a response of each shape, the rows that are expected of it in `<case>.csv`, and its
anomalies and quarantined elements in `<case>.odd.txt`. To write these again, run

    python tests/transform/endpoints/test_training_metrics.py

and read them against the responses before they are committed.
"""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.transform.endpoints import EndpointRows, metrics_arrow, metrics_python, training_metrics

DATA = Path(__file__).parents[2] / "data" / "training_metrics"
CASES = {path.stem: path.read_bytes() for path in sorted(DATA.glob("*.json"))}
OBSERVED_AT = datetime(2026, 11, 23, 4, 20, tzinfo=UTC)


def response(body: bytes, job_id: str = "ft-1") -> tuple[str, Response]:
    return job_id, Response(f"GET /fine-tunes/{job_id}/metrics", Memory(body), OBSERVED_AT)


def read(*bodies: bytes | str) -> EndpointRows:
    """The rows of these responses, of the jobs ft-1, ft-2 and so on."""
    raws = [body if isinstance(body, bytes) else body.encode() for body in bodies]
    return training_metrics.read([response(raw, f"ft-{n}") for n, raw in enumerate(raws, 1)], "default")


def metrics(*entries: Any) -> bytes:
    return json.dumps({"metrics": [*entries]}).encode()


def found(case: str) -> dict[str, str]:
    """What is expected of a case, by the suffix of its file; empty texts have no file."""
    rows = read(CASES[case])
    sink = io.BytesIO()
    pyarrow.csv.write_csv(rows.rows, sink)
    odd = [f"{a.path} {a.kind} {a.raw}" for a in rows.anomalies]
    odd += [f"quarantine {q.position} {q.rule} {q.raw.decode()}" for q in rows.quarantined]
    texts = {"csv": sink.getvalue().decode() if rows.rows.num_rows else "", "odd.txt": "".join(f"{o}\n" for o in odd)}
    return {suffix: text for suffix, text in texts.items() if text}


@pytest.mark.parametrize("case", CASES)
def test_a_response_gives_the_rows_beside_it(case: str) -> None:
    expected = {path.name.removeprefix(f"{case}."): path.read_text("utf-8") for path in DATA.glob(f"{case}.*")}
    assert found(case) == {suffix: text for suffix, text in expected.items() if suffix != "json"}


@pytest.mark.parametrize("case", ["train_and_eval", "without_time", "dpo", "empty", "null"])
def test_a_response_of_a_documented_shape_needs_no_python_and_both_readers_agree(case: str) -> None:
    fast = metrics_arrow.read_entries(CASES[case].strip())
    assert fast is not None
    assert_same(fast, metrics_python.read_entries(CASES[case].strip(), "ft-1"))


def assert_same(fast: Any, slow: Any) -> None:
    assert (slow.anomalies, slow.refused) == ([], [])
    assert fast.keys == slow.keys
    assert fast.fields == slow.fields
    by_key = [("position", "ascending"), ("name", "ascending")]
    assert fast.values.sort_by(by_key).to_pylist() == slow.values.sort_by(by_key).to_pylist()


def test_times_beyond_what_a_double_holds_stay_exact() -> None:
    rows = read(metrics({"timestamp": 1779196193564587001, "a": 1}, {"timestamp": 2**63 - 1, "a": 1})).rows
    assert rows.column("logged_at_ns").to_pylist() == [1779196193564587001, 2**63 - 1]
    assert rows.column("logged_at").to_pylist() == [
        datetime(2026, 5, 19, 13, 9, 53, 564587, tzinfo=UTC),
        datetime(2262, 4, 11, 23, 47, 16, 854775, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ('"1779196193564587001"', "wrong_type"),
        ("true", "wrong_type"),
        ("[1779196193564587001]", "wrong_type"),
        ("1779196193", "out_of_range"),  # seconds
        ("1779196193564", "out_of_range"),
        ("1779196193564587", "out_of_range"),
        ("0", "out_of_range"),
        ("-1779196193564587001", "out_of_range"),
        ("9223372036854775808", "out_of_range"),
        ("1.779196193564587e18", "out_of_range"),  # which of the digits are meant nobody knows
        ("NaN", "not_finite"),
    ],
)
def test_a_time_that_is_none_is_an_anomaly_and_costs_no_metric(raw: str, kind: str) -> None:
    rows = read(f'{{"metrics":[{{"timestamp":{raw},"train/loss":0.5}}]}}')
    (row,) = rows.rows.to_pylist()
    assert (row["logged_at"], row["logged_at_ns"], row["value"]) == (None, None, 0.5)
    (anomaly,) = rows.anomalies
    assert (anomaly.job_id, anomaly.path, anomaly.kind, anomaly.raw) == ("ft-1", "metrics.timestamp", kind, raw)


@pytest.mark.parametrize(
    ("raw", "epoch", "kind"),
    [
        ("NaN", None, "not_finite"),
        ("-Infinity", None, "not_finite"),
        ("1e400", None, "out_of_range"),
        ("-0.5", None, "out_of_range"),
        ('"1"', None, "wrong_type"),
        ("9007199254740993", 2.0**53, "rounded"),
        ("2", 2.0, None),
    ],
)
def test_an_epoch_is_exact_or_an_anomaly(raw: str, epoch: float | None, kind: str | None) -> None:
    rows = read(f'{{"metrics":[{{"train/epoch":{raw},"train/loss":0.5}},{{"train/epoch":0.25,"train/loss":1}}]}}')
    assert rows.rows.column("epochs").to_pylist() == [epoch, 0.25]
    assert [(a.path, a.kind, a.raw) for a in rows.anomalies] == ([("metrics.train/epoch", kind, raw)] if kind else [])


@pytest.mark.parametrize("time", ["", '"timestamp":null,'])
def test_an_entry_without_a_time_is_nothing_odd(time: str) -> None:
    rows = read(f'{{"metrics":[{{{time}"train/loss":0.5}}]}}')
    assert (rows.rows.column("logged_at").to_pylist(), rows.anomalies) == ([None], [])


@pytest.mark.parametrize(
    ("raw", "value", "kind"),
    [
        ("0.1", 0.1, None),
        ("-0", 0.0, None),
        ("-0.0", 0.0, None),
        ("9007199254740992", 2.0**53, None),
        ("9007199254740993", 2.0**53, "rounded"),
        ("123456789012345678901234567890", 123456789012345678901234567890.0, "rounded"),
        ("1e23", 1e23, None),
        ("5e-324", 5e-324, None),
        ("1e400", None, "out_of_range"),
        ("NaN", None, "not_finite"),
        ("Infinity", None, "not_finite"),
        ("-Infinity", None, "not_finite"),
        ('"0.5"', None, "wrong_type"),
        ("true", None, "wrong_type"),
        ("[]", None, "wrong_type"),
        ('{"a":[1]}', None, "wrong_type"),
        ('"2026-05-19T13:09:53Z"', None, "wrong_type"),
    ],
)
@pytest.mark.parametrize(
    "beside", ["", ',{"x":0.5}', ',{"x":3}', ',{"y":1}'], ids=["alone", "real", "integer", "other"]
)
def test_a_value_is_exact_or_an_anomaly_with_what_came(
    raw: str, value: float | None, kind: str | None, beside: str
) -> None:
    rows = read(f'{{"metrics":[{{"x":{raw}}}{beside}]}}')
    row = rows.rows.to_pylist()[0]
    assert (row["name"], row["value"], row["raw"]) == ("x", value, raw if kind else None)
    assert [(a.path, a.kind, a.raw) for a in rows.anomalies] == ([("metrics.x", kind, raw)] if kind else [])
    assert value is None or math.copysign(1, row["value"]) == (1 if value == 0 else math.copysign(1, value))


UNUSABLE = {
    b"": "broken_json",
    b"null": "no_metrics",
    b"[]": "no_metrics",
    b"{}": "no_metrics",
    b'"x"': "no_metrics",
    b"<html></html>": "broken_json",
    b'{"data":[{"train/loss":1}]}': "no_metrics",
    b'{"error":{"message":"no"}}': "no_metrics",
    b'{"metrics":"x"}': "no_metrics",
    b'{"metrics":7}': "no_metrics",
    b'{"metrics":{"train/loss":1}}': "no_metrics",
    b'{"metrics":[{"train/loss":1}': "broken_json",
    b'{"metrics":[{"train/loss":1}]': "broken_json",
    b'{"metrics":[{"train/loss":1}] 7}': "broken_json",
    b'{"metrics":[{"train/loss":1}]} 7': "broken_json",
    b'{"metrics":[{"train/loss":1}],"x":}': "broken_json",
    b'{"metrics":[{"train/loss":1}],"x":"\xff"}': "broken_utf8",
    b'{"\xff":1,"metrics":[]}': "broken_utf8",
    b'{"metrics":[{"train/loss":1}],"metrics":[]}': "duplicate_keys",
    b'{"metrics":[],"x":1,"x":2}': "duplicate_keys",
    b'{"metrics":' + b"[" * 100_000 + b"]" * 100_000 + b',"x":' + b"[" * 300 + b"]" * 300 + b"}": "too_deep",
}


@pytest.mark.parametrize("body", UNUSABLE, ids=lambda body: body[:40].decode("latin-1"))
def test_a_response_without_a_list_is_quarantined_whole_and_replaces_nothing(body: bytes) -> None:
    good = metrics({"train/loss": 1})
    rows = read(good, body, good)
    assert rows.rows.column("job_id").to_pylist() == rows.replaced == ["ft-1", "ft-3"]
    assert [*rows.refused] == ["ft-2"]
    (element,) = rows.quarantined
    assert (element.raw, element.rule, element.job_id) == (body, UNUSABLE[body], "ft-2")
    assert element.source == "GET /fine-tunes/ft-2/metrics"


NO_ENTRIES = {
    "null": "not_an_object",
    "7": "not_an_object",
    '"x"': "not_an_object",
    "[]": "not_an_object",
    '{"a":1,"a":2}': "duplicate_keys",
    '{"a":}': "broken_json",
    "": "broken_json",
    '{"a":' + "[" * 250 + "]" * 250 + "}": "too_deep",
    '{"a":' + "[" * 50_000 + "]" * 50_000 + "}": "too_deep",
}


@pytest.mark.parametrize("raw", NO_ENTRIES, ids=lambda raw: raw[:20])
def test_what_is_no_entry_is_quarantined_alone(raw: str) -> None:
    rows = read(f'{{"metrics":[{{"train/loss":1}},{raw},{{"train/loss":3}}]}}')
    assert (rows.replaced, rows.refused, rows.anomalies) == (["ft-1"], {}, [])
    assert rows.rows.select(["position", "value"]).to_pylist() == [
        {"position": 0, "value": 1},
        {"position": 2, "value": 3},
    ]
    (element,) = rows.quarantined
    assert (element.raw.decode(), element.rule, element.position) == (raw, NO_ENTRIES[raw], 1)


def test_invalid_utf8_in_an_entry_is_quarantined_alone() -> None:
    rows = read(b'{"metrics":[{"a\xff":1},{"a":2}]}')
    assert [(q.raw, q.rule) for q in rows.quarantined] == [(b'{"a\xff":1}', "broken_utf8")]
    assert rows.rows.column("value").to_pylist() == [2]


def test_a_list_that_goes_on_elsewhere_is_an_anomaly() -> None:
    rows = read('{"metrics":[{"train/loss":1}],"next_cursor":"abc"}')
    assert [(a.path, a.kind, a.raw) for a in rows.anomalies] == [("next_cursor", "incomplete", '"abc"')]
    assert (rows.rows.num_rows, rows.replaced) == (1, ["ft-1"])


def test_an_entry_without_a_metric_is_an_anomaly() -> None:
    rows = read(metrics({"train/global_step": 1}, {"train/loss": 1}, {}, {"train/loss": None}))
    assert [(a.path, a.kind, a.place) for a in rows.anomalies] == [
        ("metrics", "no_value", 0),
        ("metrics", "no_value", 2),
        ("metrics", "no_value", 3),
    ]


def test_steps_of_two_names_that_differ_are_an_anomaly() -> None:
    rows = read(metrics({"train/global_step": 1, "eval/global_step": 2, "step": 1, "x": 1}))
    assert rows.rows.column("step").to_pylist() == [1]
    assert [(a.path, a.kind, a.raw) for a in rows.anomalies] == [("metrics.eval/global_step", "alias_conflict", "2")]


def test_keys_that_utf8_cannot_hold_keep_their_values_or_are_told() -> None:
    rows = read('{"metrics":[{"a\\ud800":1,"a\\ud801":2}]}')
    assert [(r["name"], r["value"]) for r in rows.rows.to_pylist()] == [("a\ufffd", 1)]
    assert [(a.kind, a.raw) for a in rows.anomalies] == [
        ("lone_surrogate", '{"a\\ud800":1}'),
        ("lone_surrogate", '{"a\\ud801":2}'),
    ]


def test_rows_are_in_the_order_of_the_key_and_fit_the_contract() -> None:
    entries = [{"é": 1, "b": 2, "Z": 3, "\U0001f600": 4, "\uffff": 5}, {"b": 1}]
    rows = training_metrics.read([response(metrics(*entries), job) for job in ("ft-b", "ft-a", "ft-B")], "p").rows
    assert rows.schema == schema(tables()["training_metrics"])
    key = [(name, "ascending") for name in tables()["training_metrics"].key]
    assert rows.num_rows == 18
    assert rows.equals(rows.sort_by(key))
    assert {*rows.column("project").to_pylist()} == {"p"}
    assert {*rows.column("observed_at").to_pylist()} == {OBSERVED_AT}


NUMBERS = (
    st.integers(-(2**70), 2**70)
    | st.integers(-(2**53) - 2, 2**53 + 2)
    | st.floats(allow_nan=True)
    | st.sampled_from([0, -0.0, 1.0, 2**53, 2**53 + 1, 2**63, 1e22, 1e23])
)
KEYS = st.sampled_from(
    [
        "timestamp",
        "train/global_step",
        "eval/global_step",
        "train/epoch",
        "train/loss",
        "eval/loss",
        "x",
        "é",
        "",
        "a.b",
    ]
)
VALUES = NUMBERS | st.none() | st.booleans() | st.text(max_size=3) | st.lists(NUMBERS, max_size=2) | st.just({"a": 1})
ENTRIES = st.dictionaries(KEYS, NUMBERS | st.none(), max_size=5) | st.dictionaries(KEYS, VALUES, max_size=3)


@given(
    st.lists(ENTRIES | st.none() | st.integers(), max_size=6), st.booleans(), st.dictionaries(KEYS, VALUES, max_size=2)
)
def test_both_readers_agree_on_what_arrow_takes_and_no_value_is_lost(
    entries: list[Any], is_pretty: bool, beside: dict[str, Any]
) -> None:
    body = json.dumps({**beside, "metrics": entries}, indent=2 if is_pretty else None).encode()
    slow = metrics_python.read_entries(body, "ft-1")
    fast = metrics_arrow.read_entries(body)
    if fast is not None:
        assert_same(fast, slow)
    objects = {p: entry for p, entry in enumerate(entries) if isinstance(entry, dict)}
    assert {p for p, _, _ in slow.refused} == {p for p, e in enumerate(entries) if not isinstance(e, dict)}
    told = {(v["position"], v["name"]) for v in slow.values.to_pylist()}
    assert told == {(p, k) for p, e in objects.items() for k, v in e.items() if v is not None and k not in slow.fields}
    for value in slow.values.to_pylist():
        came = objects[value["position"]][value["name"]]
        is_small_number = type(came) in (int, float) and abs(came) < 2**53
        assert is_small_number <= (value["raw"] is None)
        assert value["raw"] is not None or value["value"] == came


@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: f'{{"metrics":[{text}]}}'.encode()))
def test_any_bytes_give_rows_or_are_quarantined(body: bytes) -> None:
    rows = read(body)
    assert [*rows.replaced, *rows.refused] == ["ft-1"]
    assert rows.replaced or [q.raw for q in rows.quarantined] == [body]


def main() -> None:
    for old in [*DATA.glob("*.csv"), *DATA.glob("*.txt")]:
        old.unlink()
    for case in CASES:
        for suffix, text in found(case).items():
            (DATA / f"{case}.{suffix}").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
