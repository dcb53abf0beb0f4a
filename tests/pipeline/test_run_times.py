"""Runs after one whose clock was ahead, and what a live list counts for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo
from ftetl.demo import Server
from ftetl.extract.sources import api
from ftetl.pipeline import export as pipeline_export

NOW = datetime(2026, 7, 20, tzinfo=UTC)
AHEAD = {
    "3 hours": timedelta(hours=3),
    "40 days": timedelta(days=40),
    "2062": datetime(2062, 1, 1, tzinfo=UTC) - NOW,
}


def job(job_id: str, status: str = "running", **more: Any) -> dict[str, Any]:
    return {"id": job_id, "status": status, "updated_at": "2026-07-10T00:00:00Z", "events": [{"type": "X"}]} | more


@pytest.fixture
def server() -> Iterator[Server]:
    with demo.serve([job("a"), job("b"), job("c")]) as served:
        yield served


def export(server: Server, target: Path, on: datetime | None, **settings: Any) -> ftetl.Report:
    environ = {"TOGETHER_API_KEY": server.key}
    return ftetl.export(target, base_url=server.url, environ=environ, observed_at=on, **settings)


def rows(target: Path) -> dict[str, dict[str, Any]]:
    return {row["job_id"]: row for row in ftetl.open(target).arrow("jobs").to_pylist()}


def history(target: Path, job_id: str) -> list[tuple[str, datetime]]:
    found = ftetl.open(target).arrow("job_history").to_pylist()
    return [(row["status"], row["observed_at"]) for row in found if row["job_id"] == job_id]


def said(report: ftetl.Report) -> list[str]:
    return [line for line in report.warnings if "in the future" in line]


@pytest.mark.parametrize("ahead", AHEAD.values(), ids=AHEAD.keys())
def test_a_run_with_a_clock_that_was_ahead_freezes_nothing(server: Server, tmp_path: Path, ahead: timedelta) -> None:
    target = tmp_path / "t"
    export(server, target, NOW - timedelta(days=1))
    server.jobs = [job("a", "queued"), job("b"), job("c"), job("d")]
    export(server, target, NOW + ahead)  # says that a changed, and saw d first

    server.jobs = [job("a", "completed", total_price=7), job("b"), job("d"), job("e")]
    report = export(server, target, NOW)

    found = rows(target)
    assert (report.new, report.changed_jobs, report.vanished) == (1, 1, 1)
    assert {i: row["present"] for i, row in found.items()} == {"a": True, "b": True, "c": False, "d": True, "e": True}
    assert (found["a"]["status"], found["a"]["total_price_nanousd"]) == ("completed", 7)
    assert max(t for row in found.values() for t in (row["first_seen_at"], row["last_changed_at"])) == NOW
    assert history(target, "a") == [
        ("running", NOW - timedelta(days=1)),
        ("queued", NOW - timedelta(microseconds=1)),
        ("completed", NOW),
    ]
    assert said(report) == [line for line in report.warnings if "now dated to just before this run" in line] != []
    again = export(server, target, NOW + timedelta(minutes=1))
    assert (again.changed, said(again)) == (False, [])


@pytest.mark.parametrize("time", [None, "2062-01-01T00:00:00Z"], ids=["null", "in the future"])
def test_a_live_copy_without_a_time_is_newer_than_one_from_the_future(
    server: Server, tmp_path: Path, time: str | None
) -> None:
    export(server, tmp_path / "t", NOW + timedelta(days=40))
    server.jobs = [job("a", "completed", updated_at=time), job("b"), job("c")]
    export(server, tmp_path / "t", NOW)
    assert rows(tmp_path / "t")["a"]["status"] == "completed"


def test_several_states_from_the_future_keep_their_order(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "t"
    for day, status in enumerate(["pending", "queued", "running"], start=1):
        server.jobs = [job("a", status), job("b")]
        export(server, target, NOW + timedelta(days=day))
    server.jobs = [job("a", "completed"), job("b")]
    export(server, target, NOW)

    states = history(target, "a")
    assert [status for status, _ in states] == ["pending", "queued", "running", "completed"]
    assert [NOW - at for _, at in states] == [timedelta(microseconds=n) for n in (3, 2, 1, 0)]
    assert len(history(target, "b")) == 1


def test_a_rebuild_dates_back_as_the_run_did(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "t"
    for day, status in ((-1, "queued"), (40, "running"), (0, "completed")):
        server.jobs = [job("a", status)]
        export(server, target, NOW + timedelta(days=day))
    before = {path.name: path.read_bytes() for path in (target / "current").iterdir()}

    assert not pipeline_export.rebuild(target).changed
    assert before == {path.name: path.read_bytes() for path in (target / "current").iterdir()}


def test_a_clock_that_nobody_vouches_for_decides_but_rewrites_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.server._Handler, "date_time_string", lambda *_: "no date")
    monkeypatch.setattr(api, "now", lambda: NOW)
    target = tmp_path / "t"
    export(server, target, NOW + timedelta(days=40))
    server.jobs = [job("a", "completed"), job("b"), job("d")]
    for _ in range(2):
        report = export(server, target, None)
        found = rows(target)
        assert {i: (row["status"], row["present"]) for i, row in found.items()} == {
            "a": ("completed", True),
            "b": ("running", True),
            "c": ("running", False),
            "d": ("running", True),
        }
        assert found["b"]["last_changed_at"] == NOW + timedelta(days=40)
        assert [line for line in said(report) if "run again with --observed-at" in line]

    report = export(server, target, NOW + timedelta(hours=1))
    assert rows(target)["b"]["last_changed_at"] < NOW + timedelta(hours=1)
    assert [line for line in said(report) if "now dated to just before" in line]


def test_a_saved_list_is_told_that_the_future_is_stored_and_takes_nothing_back(tmp_path: Path) -> None:
    file = tmp_path / "saved.json"
    for at, status in ((datetime.now(UTC) + timedelta(hours=3), "completed"), (datetime.now(UTC), "running")):
        file.write_text(json.dumps({"data": [job("a", status)]}))
        report = ftetl.export(tmp_path / "t", source=file, observed_at=at)
    assert rows(tmp_path / "t")["a"]["status"] == "completed"
    assert [line for line in said(report) if "a run against the API corrects them" in line]


@pytest.mark.parametrize(
    "odd",
    [{}, {"updated_at": None}, {"updated_at": 1_772_366_400}, {"updatedAt": "2026-03-01T12:00:00Z"}],
    ids=["gone", "null", "unix", "renamed"],
)
def test_a_job_whose_time_vanished_is_not_frozen(cases: Path, tmp_path: Path, odd: dict[str, Any]) -> None:
    before, gone = cases / "I_clock_before.json", json.loads((cases / "I_clock_gone.json").read_text())
    gone["data"][0] |= odd
    (tmp_path / "gone.json").write_text(json.dumps(gone))
    ftetl.export(tmp_path / "t", source=before, observed_at=NOW)

    ftetl.export(tmp_path / "t", source=tmp_path / "gone.json", observed_at=NOW + timedelta(days=1))

    [row] = rows(tmp_path / "t").values()
    assert (row["status"], row["total_price_nanousd"], row["updated_at"]) == ("completed", 7_000_000_000, None)
    assert ftetl.open(tmp_path / "t").arrow("focus_costs").num_rows == 1
    # And when it is back, older than what was observed, it counts again.
    gone["data"][0] = gone["data"][0] | {"updated_at": "2026-03-01T11:00:00Z", "total_price": 8_000_000_000}
    (tmp_path / "gone.json").write_text(json.dumps(gone))
    ftetl.export(tmp_path / "t", source=tmp_path / "gone.json", observed_at=NOW + timedelta(days=2))
    [row] = rows(tmp_path / "t").values()
    assert (row["total_price_nanousd"], row["updated_at"].hour) == (8_000_000_000, 11)


def test_a_time_that_once_lay_in_the_future_freezes_nothing(server: Server, tmp_path: Path) -> None:
    server.jobs = [job("a", updated_at="2062-01-01T00:00:00Z")]
    export(server, tmp_path / "t", NOW)
    server.jobs = [job("a", "completed", total_price=7)]
    export(server, tmp_path / "t", NOW + timedelta(days=1))
    [row] = rows(tmp_path / "t").values()
    assert (row["status"], row["total_price_nanousd"], row["updated_at"].year) == ("completed", 7, 2026)


@pytest.fixture
def cases(root: Path) -> Path:
    return root / "tests/data/cases"
