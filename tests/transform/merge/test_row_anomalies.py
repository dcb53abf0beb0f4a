"""What is odd about a row beside another one is noted, the row says what the API says, and nothing wavers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.contract import tables
from ftetl.pipeline import export
from ftetl.run_report import Report

MADE, NEXT = "2026-07-02T08:10:14Z", "2026-07-03T08:10:14Z"
A, B, C = ({"model": name, "updated_at": f"2026-07-0{at}T08:10:14Z"} for at, name in enumerate("abc", start=3))


class Runs:
    """Lists of one job and its neighbour, exported a day apart."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.days = folder, 0
        self.target = folder / "target"

    def __call__(self, *states: dict[str, Any]) -> Report:
        for state in states:
            self.days += 1
            path = self.folder / f"list-{self.days}.json"
            job = {"id": "ft-1", "created_at": MADE, "training_file": "file-1"} | state
            path.write_text(json.dumps({"data": [job, {"id": "ft-2", "model": "other", "created_at": MADE}]}))
            report = ftetl.export(self.target, source=path, observed_at=datetime(2026, 8, self.days, tzinfo=UTC))
        return report

    def rows(self, table: str) -> list[dict[str, Any]]:
        return ftetl.open(self.target).arrow(table).to_pylist()

    def anomalies(self) -> list[tuple[str, str, str, int]]:
        return [tuple(row[k] for k in ("job_id", "path", "kind", "raw", "rows")) for row in self.rows("anomalies")]

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.target / "current").iterdir()}


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def changed(path: str, was: str) -> tuple[str, str, str, str, int]:
    return ("ft-1", path, "changed", was, 1)


def test_what_is_fixed_when_a_job_is_made_is_marked_in_its_contract() -> None:
    assert [c.name for c in tables()["jobs"].columns if c.fixed] == ["created_at", "training_file", "model"]


@pytest.mark.parametrize(
    ("states", "now", "noted"),
    [
        ([A, A], "a", []),
        ([A, B], "b", [changed("model", '"a"')]),
        ([A, B, B, B], "b", [changed("model", '"a"')]),
        ([A, B, C], "c", [changed("model", '"a"')]),
        ([A, B, C | {"model": "a"}], "a", []),
        ([A, B, C | {"model": None}], None, [changed("model", '"a"')]),
        ([A, B | {"model": None}, C], "c", [changed("model", '"a"')]),
        ([A | {"model": None}, B], "b", []),
        ([B, A], "b", []),  # an older copy: the row stays
        ([A, C, B], "c", [changed("model", '"a"')]),
        (
            [A, B | {"created_at": NEXT, "training_file": "ü"}],
            "b",
            [
                changed("created_at", '"2026-07-02T08:10:14.000000Z"'),
                changed("model", '"a"'),
                changed("training_file", '"file-1"'),
            ],
        ),
    ],
)
def test_what_is_fixed_and_changes_all_the_same_is_followed_and_noted(
    runs: Runs, states: list[dict[str, Any]], now: str | None, noted: list[Any]
) -> None:
    runs(*states)

    assert runs.rows("jobs")[0]["model"] == now
    assert runs.anomalies() == noted


def test_a_change_that_was_noted_makes_no_version_again_and_a_rebuild_finds_it(runs: Runs) -> None:
    runs(A, B)
    files = runs.files()

    assert not runs(B).changed
    assert runs.files() == files
    export.rebuild(runs.target)
    assert runs.files() == files


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"status": "completed"}, {"status": "running", "updated_at": NEXT}),
        ({"status": "running", "updated_at": NEXT}, {"status": "pending"}),
        ({"status": "completed", "total_price": 5}, {"status": "completed", "total_price": 7, "updated_at": NEXT}),
    ],
    ids=["a status that goes back", "a time that goes back", "a price after the end"],
)
def test_what_the_history_tells_is_no_anomaly(runs: Runs, before: dict[str, Any], after: dict[str, Any]) -> None:
    runs({"updated_at": MADE} | before, {"updated_at": MADE} | after)

    assert [row["status"] for row in runs.rows("job_history") if row["job_id"] == "ft-1"] == [
        before["status"],
        after["status"],
    ]
    assert runs.anomalies() == []
    newer = before if "updated_at" in before else after
    assert runs.rows("jobs")[0]["status"] == newer["status"]


@pytest.mark.parametrize(
    ("state", "noted"),
    [
        ({"updated_at": MADE, "started_at": MADE}, []),
        ({"updated_at": "2026-07-02T08:10:13Z"}, [("updated_at", "time_order", "2026-07-02T08:10:13.000000Z")]),
        ({"started_at": "2026-07-01T08:10:14Z"}, [("started_at", "time_order", "2026-07-01T08:10:14.000000Z")]),
        ({"updated_at": "2026-08-01T23:59:59Z"}, []),  # clocks differ
        ({"started_at": "2026-08-02T00:00:01Z"}, [("started_at", "in_future", "2026-08-02T00:00:01.000000Z")]),
        ({"created_at": None, "updated_at": MADE}, []),
    ],
)
def test_a_time_that_cannot_be_is_kept_and_noted(
    runs: Runs, state: dict[str, Any], noted: list[tuple[str, str, str]]
) -> None:
    runs(state)
    expected = [("ft-1", path, kind, json.dumps(raw), 1) for path, kind, raw in noted]
    kept = {path: raw for path, _, raw in noted}
    row = runs.rows("jobs")[0]

    assert runs.anomalies() == expected
    assert {path: row[path].strftime("%Y-%m-%dT%H:%M:%S.%fZ") for path in kept} == kept
    assert not runs(state).changed  # also where the time is no longer ahead


def test_a_job_that_took_thousands_of_years_stops_no_run(runs: Runs) -> None:
    end = {"type": "JOB_COMPLETE", "created_at": "9999-01-01T00:00:00.000001Z"}
    runs({"created_at": "1001-01-01T00:00:00Z", "status": "completed", "events": [end]})

    assert runs.rows("jobs")[0]["duration_seconds"] == pytest.approx(283_959_475_200, rel=1e-3)
