"""The reader of `GET /files`: each form of an element, and what cannot be a row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.transform.endpoints import EndpointRows, files

AT = datetime(2026, 7, 2, 8, 0, tzinfo=UTC)
PLAIN = {
    "id": "file-1",
    "object": "file",
    "created_at": 1_767_225_600,
    "filename": "train.jsonl",
    "bytes": 2048,
    "purpose": "fine-tune",
    "FileType": "jsonl",
}
REPORT = {
    "valid": True,
    "nlines": 120,
    "dataset_format": "CONVERSATION",
    "dataset_has_tools": True,
    "dataset_has_reasoning": False,
    "dataset_has_message_weights": False,
    "dataset_has_sample_weights": False,
    "dataset_has_parallel_tool_calls": True,
    "dataset_is_multimodal": False,
    "file_id": "file-1",
}
EMPTY = dict.fromkeys(tables()["files"].names)
ROW = {
    **EMPTY,
    "project": "p",
    "file_id": "file-1",
    "filename": "train.jsonl",
    "bytes": 2048,
    "purpose": "fine-tune",
    "file_type": "jsonl",
    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    "present": True,
    "first_seen_at": AT,
    "observed_at": AT,
}
ONLY_ID = EMPTY | {k: ROW[k] for k in ("project", "file_id", "present", "first_seen_at", "observed_at")}


def read(body: Any) -> EndpointRows:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return files.read([("", Response("GET /files", Memory(raw), AT))], "p")


def read_elements(*elements: Any) -> EndpointRows:
    return read({"object": "list", "data": elements})


@pytest.mark.parametrize(
    ("element", "row"),
    [
        pytest.param(PLAIN, ROW, id="of before there were reports"),
        pytest.param({**PLAIN, "processing_status": "PENDING"}, {**ROW, "processing_status": "PENDING"}, id="pending"),
        pytest.param({**PLAIN, "validation_report": None}, ROW, id="no report"),
        pytest.param(
            {**PLAIN, "processing_status": "COMPLETED", "validation_report": REPORT},
            {
                **ROW,
                "processing_status": "COMPLETED",
                "is_valid": True,
                "lines": 120,
                "dataset_format": "CONVERSATION",
                "has_tools": True,
                "has_reasoning": False,
                "has_message_weights": False,
                "has_sample_weights": False,
                "has_parallel_tool_calls": True,
                "is_multimodal": False,
            },
            id="accepted",
        ),
        pytest.param(
            {**PLAIN, "validation_report": {"valid": False, "error": "line 3", "error_type": "INVALID_FORMAT"}},
            {**ROW, "is_valid": False, "validation_error": "line 3", "validation_error_type": "INVALID_FORMAT"},
            id="refused",
        ),
        pytest.param(
            {**PLAIN, "project_id": "x", "validation_report": {"new": 1.50}},
            {**ROW, "extra": '{"project_id":"x","validation_report":{"new":1.5}}'},
            id="unknown keys",
        ),
        pytest.param(
            {"id": "file-1"},
            ONLY_ID,
            id="an id alone",
        ),
        pytest.param({**PLAIN, "created_at": 0}, {**ROW, "created_at": None}, id="no time"),
    ],
)
def test_a_file_is_one_row(element: dict[str, Any], row: dict[str, Any]) -> None:
    found = read_elements(element)

    assert found.rows.to_pylist() == [row]
    assert found.rows.schema.equals(schema(tables()["files"]))
    assert (found.replaced, found.anomalies, found.quarantined, found.refused) == (["file-1"], [], [], {})


@pytest.mark.parametrize(
    ("change", "column", "path", "kind", "raw"),
    [
        ({"bytes": "2 kB"}, "bytes", "bytes", "wrong_type", '"2 kB"'),
        ({"bytes": -1}, "bytes", "bytes", "out_of_range", "-1"),
        ({"bytes": 2**70}, "bytes", "bytes", "out_of_range", str(2**70)),
        ({"created_at": "2026-01-01"}, "created_at", "created_at", "wrong_type", '"2026-01-01"'),
        ({"created_at": 1_767_225_600_000}, "created_at", "created_at", "out_of_range", "1767225600000"),
        ({"validation_report": [1]}, "lines", "validation_report", "wrong_type", "[1]"),
        ({"validation_report": {"nlines": True}}, "lines", "validation_report.nlines", "wrong_type", "true"),
    ],
)
def test_a_value_that_does_not_fit_is_null_with_an_anomaly(
    change: dict[str, Any], column: str, path: str, kind: str, raw: str
) -> None:
    found = read_elements({**PLAIN, **change})

    assert found.rows.to_pylist() == [{**ROW, column: None}]
    assert [(a.job_id, a.path, a.kind, a.raw) for a in found.anomalies] == [("file-1", path, kind, raw)]


@pytest.mark.parametrize("purpose", ["assistants", "Fine-Tune"])
def test_an_unknown_purpose_is_kept_with_an_anomaly(purpose: str) -> None:
    found = read_elements({**PLAIN, "purpose": purpose})

    assert found.rows.column("purpose").to_pylist() == [purpose]
    assert [a.kind for a in found.anomalies] == ["unknown_enum"]


@pytest.mark.parametrize(
    ("element", "rule"),
    [
        (b"7", "not_an_object"),
        (b'{"filename":"a"}', "no_id"),
        (b'{"id":5}', "bad_id"),
        (b'{"id":"a b"}', "bad_id"),
        (b'{"id":"file-9","bytes":1,"bytes":2}', "duplicate_keys"),
        (b'{"id":"file-9","filename":"\xff"}', "broken_utf8"),
    ],
)
def test_an_element_that_no_row_can_take_is_quarantined_and_costs_no_other(element: bytes, rule: str) -> None:
    found = read(b'{"data":[' + json.dumps(PLAIN).encode() + b"," + element + b"]}")

    assert found.rows.to_pylist() == [ROW]
    assert [(e.raw, e.rule, e.source, e.position) for e in found.quarantined] == [(element, rule, "GET /files", 1)]


def test_a_file_that_is_listed_twice_is_one_row_and_what_differs_is_quarantined() -> None:
    found = read_elements(PLAIN, dict(reversed(PLAIN.items())), {**PLAIN, "bytes": 1})

    assert found.rows.to_pylist() == [ROW]
    assert [a.kind for a in found.anomalies] == ["duplicate_identical"]
    assert [(e.rule, e.position) for e in found.quarantined] == [("older_copy", 2)]


@pytest.mark.parametrize("body", [b"[]", b'{"data":[]}', b'{"data":null}'])
def test_an_empty_list_is_a_whole_one(body: bytes) -> None:
    found = read(body)

    assert (found.rows.num_rows, found.whole, found.refused) == (0, True, {})


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"file-1"}',
        b'{"files":[]}',
        b'{"error":{"message":"no"}}',
        b'{"data":[{"id":"file-1"}',
        b'{"data":[{"id":"file-1"}],"has_more":true}',
        b'{"data":[{"id":"file-1"}],"next_cursor":"c"}',
        b"{",
    ],
)
def test_a_response_that_is_no_whole_list_gives_no_row(body: bytes) -> None:
    found = read(body)

    assert (found.rows.num_rows, found.whole, found.replaced) == (0, False, [])
    assert "GET /files" in found.refused[""]
