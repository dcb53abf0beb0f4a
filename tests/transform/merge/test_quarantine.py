"""Quarantine and anomalies: what could not be taken, once and exactly; what was odd, as long as it is."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty, schema
from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.transform.merge import anomalies as anomalies_table
from ftetl.transform.merge import quarantine

NONE = empty(tables()["quarantine"])
EARLY, LATE = datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 8, 2, tzinfo=UTC)


def element(raw: bytes, at: datetime = EARLY, position: int = 0, **more: Any) -> QuarantinedElement:
    given: dict[str, Any] = {"rule": "no_id", "job_id": None, "source": "a.json"}
    return QuarantinedElement(raw=raw, position=position, observed_at=at, **given | more)


def test_an_element_is_kept_exactly() -> None:
    texts = [b"7", b'"caf\xc3\xa9"', b'"\xff"', b'"\x00"', b"x" * 100_000]
    found = quarantine.quarantine(NONE, [element(text) for text in texts], "p")
    assert found.new == 5
    assert found.table.schema.equals(schema(tables()["quarantine"]))
    kept = {}
    for row in found.table.to_pylist():
        raw = base64.b64decode(row["raw"]) if row["raw_encoding"] == "base64" else row["raw"].encode()
        assert hashlib.sha256(raw).hexdigest() == row["raw_sha256"]
        kept[raw] = row["raw_encoding"]
    assert set(kept) == set(texts)
    assert [text for text, encoding in kept.items() if encoding == "base64"] == [b'"\xff"']
    hashes = found.table["raw_sha256"].to_pylist()
    assert hashes == sorted(hashes)


def test_the_same_bytes_are_kept_once_as_they_were_first_seen() -> None:
    first = quarantine.quarantine(NONE, [element(b"7", LATE, 3), element(b"7", EARLY, 9), element(b"7", EARLY, 4)], "p")
    assert first.new == 1
    (row,) = first.table.to_pylist()
    assert (row["first_seen_at"], row["position"]) == (EARLY, 4)
    again = quarantine.quarantine(first.table, [element(b"7", LATE, 1), element(b"8")], "p")
    assert (again.new, again.table.num_rows) == (1, 2)
    assert row in again.table.to_pylist()
    assert quarantine.quarantine(again.table, [element(b"8"), element(b"7")], "p") == quarantine.Quarantined(
        again.table, 0
    )


def test_the_order_in_which_elements_come_does_not_matter() -> None:
    elements = [element(str(n).encode(), EARLY, n) for n in range(9)]
    one = quarantine.quarantine(NONE, elements, "p").table
    assert quarantine.quarantine(NONE, elements[::-1], "p").table.equals(one)


def anomalies(*rows: tuple[str, str, str, str]) -> pa.Table:
    names = ["job_id", "path", "kind", "raw"]
    data = [dict(zip(names, row, strict=True)) | {"project": "p", "rows": 1} for row in rows]
    return pa.Table.from_pylist(data, schema=schema(tables()["anomalies"]))


def test_odd_values_of_one_kind_are_one_row_with_the_first_of_them() -> None:
    odd = [Anomaly("b", "events.type", "unknown_enum", f'"{n}"', n) for n in (2, 0, 1)]
    found = anomalies_table.count_anomalies([*odd, Anomaly("a", "status", "wrong_type", "1")], "p")
    rows = [(r["job_id"], r["path"], r["raw"], r["rows"], r["project"]) for r in found.to_pylist()]
    assert rows == [("a", "status", "1", 1, "p"), ("b", "events.type", '"0"', 3, "p")]
    assert anomalies_table.count_anomalies([], "p").equals(empty(tables()["anomalies"]))


@pytest.mark.parametrize(
    ("kept", "fresh", "raws"),
    [
        ([], [], []),
        ([("a", "x", "wrong_type", "1")], [], ["1"]),
        ([], [("a", "x", "wrong_type", "1")], ["1"]),
        ([("a", "x", "wrong_type", "1")], [("a", "x", "wrong_type", "2")], ["2"]),
        ([("b", "x", "wrong_type", "1")], [("a", "x", "wrong_type", "2")], ["2", "1"]),
        ([("a", "x", "wrong_type", "1")], [("a", "x", "bad_time", "2")], ["2", "1"]),
        (
            [("a", "y", "wrong_type", "1")],
            [("a", "x", "wrong_type", "2"), ("a", "z", "wrong_type", "3")],
            ["2", "1", "3"],
        ),
    ],
)
def test_what_is_found_anew_replaces_what_was_stored(kept: Any, fresh: Any, raws: list[str]) -> None:
    found = anomalies_table.merge_anomalies(anomalies(*kept), anomalies(*fresh))
    assert found["raw"].to_pylist() == raws
    assert found.schema.equals(schema(tables()["anomalies"]))
