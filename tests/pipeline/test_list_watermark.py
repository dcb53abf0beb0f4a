"""What a run learns about time, also when it changes nothing."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ftetl


def job(job_id: str, **more: Any) -> dict[str, Any]:
    return {"id": job_id, "status": "completed", "updated_at": "2026-01-02T00:00:00Z", "total_price": 1000} | more


def export(folder: Path, answer: Any, day: int, **settings: Any) -> ftetl.Report:
    file = folder / "answer.json"
    file.write_text(json.dumps(answer))
    moment = datetime(2026, 3, day, tzinfo=UTC)
    return ftetl.export(folder / "target", source=file, observed_at=moment, **settings)


def rows(folder: Path, *columns: str) -> list[tuple[Any, ...]]:
    table = ftetl.open(folder / "target").arrow("jobs").select(list(columns))
    return [tuple(row.values()) for row in table.to_pylist()]


def test_a_list_that_changed_nothing_still_stands_against_an_older_one(tmp_path: Path) -> None:
    export(tmp_path, {"data": [job("a"), job("b")]}, 1)
    assert not export(tmp_path, {"data": [job("a"), job("b")]}, 5).changed

    export(tmp_path, {"data": [job("a", total_price=3)]}, 3)

    assert rows(tmp_path, "job_id", "present", "total_price_nanousd") == [("a", True, 1000), ("b", True, 1000)]


def test_a_rebuild_knows_of_the_run_that_changed_nothing(tmp_path: Path) -> None:
    from ftetl.pipeline import export as pipeline_export

    source = tmp_path / "answers"
    source.mkdir()
    for day, jobs in ((1, ["a", "b"]), (5, ["a", "b"]), (3, ["a", "c"])):
        file = source / f"{day}.json"
        file.write_text(json.dumps({"data": [job(i) for i in jobs]}))
        moment = datetime(2026, 3, day, tzinfo=UTC)
        ftetl.export(tmp_path / "target", source=file, observed_at=moment)

    report = pipeline_export.rebuild(tmp_path / "target")

    assert not report.changed
    assert rows(tmp_path, "job_id", "present") == [("a", True), ("b", True), ("c", False)]


def test_a_job_seen_after_an_older_list_is_not_gone(tmp_path: Path) -> None:
    export(tmp_path, job("x", events=[]), 2)

    export(tmp_path, {"data": [job("a")]}, 1, allow_shrink=True)

    assert rows(tmp_path, "job_id", "present") == [("a", True), ("x", True)]


def test_a_damaged_memory_of_the_time_costs_nothing_but_the_time(tmp_path: Path) -> None:
    export(tmp_path, {"data": [job("a")]}, 1)
    (tmp_path / "target" / "_ftetl" / "observed.json").write_text("{")

    assert not export(tmp_path, {"data": [job("a")]}, 2).changed


@pytest.mark.parametrize(
    ("first", "second", "changed"),
    [
        ([{"type": "JOB_START"}], [{"type": "JOB_START"}], False),
        ([{"type": "JOB_START"}], [{"type": "JOB_START"}, {"type": "JOB_COMPLETE"}], True),
        ([], [{"type": "WARNING"}], True),
    ],
)
def test_new_events_are_a_change_of_their_job(
    tmp_path: Path, first: list[Any], second: list[Any], changed: bool
) -> None:
    export(tmp_path, job("a", events=first), 1)

    report = export(tmp_path, job("a", events=second), 2)

    assert report.changed_jobs == changed
    ((moment,),) = rows(tmp_path, "last_changed_at")
    assert moment.day == (2 if changed else 1)


def test_a_folder_dates_a_state_by_its_first_observation(tmp_path: Path) -> None:
    source = tmp_path / "answers"
    source.mkdir()
    for day in (1, 2):
        file = source / f"{day}.json"
        file.write_text(json.dumps([job("a")]))
        moment = datetime(2026, 3, day, tzinfo=UTC).timestamp()
        os.utime(file, (moment, moment))

    ftetl.export(tmp_path / "target", source=source)

    ((first, changed),) = rows(tmp_path, "first_seen_at", "last_changed_at")
    assert (first.day, changed.day) == (1, 1)
    (state,) = ftetl.open(tmp_path / "target").arrow("job_history").to_pylist()
    assert state["observed_at"].day == 1
