"""How long jobs took, added up by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from ftetl import analysis, html_report
from ftetl.snapshot.snapshot import Snapshot


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The frame's rows as plain values; what is missing is None."""
    picked = frame[list(columns)].astype(object)
    return [tuple(None if value is pd.NA else value for value in row) for row in picked.itertuples(index=False)]


def at(time: str | None, kind: str) -> dict[str, Any]:
    return {"type": kind, "created_at": time and f"2026-07-02T{time}Z"}


PLAIN = [
    at("08:11:14", "job_pending"),
    at("08:12:14.5", "job_start"),
    at("08:13:14", "training_start"),
    at("09:13:14", "training_complete"),
    at("09:14:14", "model_uploading"),
    at("09:15:14", "job_complete"),
]
# Queued twice (10 and 30 seconds), prepared twice (10 and 20), then trained for 5 minutes.
RESTARTED = [
    at("08:10:20", "job_pending"),
    at("08:10:30", "job_start"),
    at("08:10:40", "job_restarted"),
    at("08:11:00", "job_pending"),
    at("08:11:30", "job_start"),
    at("08:11:50", "training_start"),
    at("08:16:50", "job_error"),
]
WITHOUT_A_TIME = [at("08:10:20", "job_pending"), at(None, "job_start"), at("08:20:00", "training_start")]
DISORDERLY = [at("08:10:00", "job_start"), at("08:09:00", "training_start"), at("08:10:00", "job_complete")]


@pytest.fixture
def five(make: Any, job_record: Any) -> Snapshot:
    return make(
        job_record("ft-1", events=PLAIN),
        job_record("ft-2", events=RESTARTED, status="error"),
        job_record("ft-3", events=WITHOUT_A_TIME, status="running"),
        job_record("ft-4", events=DISORDERLY),
        job_record("ft-5", status="pending"),
    )


def test_the_stays_of_a_job_in_a_stage_are_added_up(five: Snapshot) -> None:
    found = analysis.stage_times(five)
    assert rows(found, *found.columns) == [
        ("queued", 2, 1, 50.25, 58.45, 60.5, 100.5),  # 60.5 and 40; of ft-3 the end has no time
        ("preparing", 2, 2, 44.75, 56.55, 59.5, 89.5),  # 59.5 and 30
        ("training", 3, 1, 300.0, 2940.0, 3600.0, 3960.0),  # 3600, 300, 60; that of ft-3 goes on
        ("uploading", 1, 0, 60.0, 60.0, 60.0, 60.0),
    ]


def test_each_job_has_its_times(five: Snapshot) -> None:
    found = analysis.job_times(five)
    assert rows(
        found, "job_id", "queue_seconds", "queued_seconds", "preparing_seconds", "training_seconds",
        "compressing_seconds", "uploading_seconds", "total_seconds", "restarts",
    ) == [
        ("ft-1", 120.25, 60.5, 59.5, 3600.0, None, 60.0, 3899.75, 0),
        ("ft-2", 15.75, 40.0, 30.0, 300.0, None, None, 395.75, 1),
        ("ft-3", None, None, None, None, None, None, None, 0),
        ("ft-4", None, None, None, 60.0, None, None, None, 0),
        ("ft-5", None, None, None, None, None, None, None, 0),
    ]  # fmt: skip


def test_a_stay_of_unknown_length_leaves_the_job_without_a_time_there(make: Any, job_record: Any) -> None:
    again = [at("08:10:20", "job_pending"), at("08:10:30", "job_restarted"), at("08:11:00", "job_pending")]
    waiting = make(job_record("ft-1", events=again, status="queued"))
    assert rows(analysis.stage_times(waiting), "stage", "jobs", "unknown", "total_seconds") == [("queued", 0, 1, None)]
    assert rows(analysis.job_times(waiting), "queued_seconds", "queue_seconds", "restarts") == [(None, None, 1)]


def test_a_column_is_there_for_every_stage_of_the_contract(five: Snapshot) -> None:
    assert {f"{stage}_seconds" for stage in analysis.stage_names()} <= {*analysis.job_times(five).columns}


def test_without_jobs_there_are_columns_and_no_rows(make: Any) -> None:
    nothing = make()
    for found in (analysis.stage_times(nothing), analysis.job_times(nothing), analysis.estimates(nothing)):
        assert len(found) == 0
        assert len(found.columns) >= 7


def estimated(seconds: float, time: str = "08:13:14.2", **more: Any) -> dict[str, Any]:
    progress = {"estimate_available": True, "seconds_remaining": seconds}
    return {"progress": progress, "started_at": f"2026-07-02T{time}Z", **more}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (estimated(4000, events=PLAIN), ("training", 4000.0, 3599.8, 400.2)),
        (estimated(3000, events=PLAIN), ("training", 3000.0, 3599.8, -599.8)),
        (estimated(50, "09:14:14", events=PLAIN), ("uploading", 50.0, 60.0, -10.0)),  # where a stage begins it is in it
        (estimated(50, "09:13:14", events=PLAIN), (None, 50.0, None, None)),  # between two stages
        (estimated(10, "08:11:31", events=RESTARTED), ("preparing", 10.0, 19.0, -9.0)),  # the second time
        (estimated(60, "08:20:01", events=WITHOUT_A_TIME, status="running"), ("training", 60.0, None, None)),
        (estimated(60, "08:20:01", status="running"), (None, 60.0, None, None)),
    ],
)
def test_an_estimate_is_held_against_the_end_of_its_stage(
    make: Any, job_record: Any, fields: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    (found,) = rows(
        analysis.estimates(make(job_record("ft-1", **fields))),
        "stage",
        "estimated_seconds",
        "took_seconds",
        "error_seconds",
    )
    assert found == (*expected[:2], *(pytest.approx(value) for value in expected[2:]))


def test_an_estimate_has_an_estimated_end(make: Any, job_record: Any) -> None:
    found = analysis.estimates(make(job_record("ft-1", status="running", **estimated(90.5))))
    assert [moment.isoformat() for moment in found.estimated_end] == ["2026-07-02T08:14:44.700000+00:00"]


@pytest.mark.parametrize(
    "fields",
    [
        estimated(0),
        estimated(-5),
        {**estimated(60), "started_at": None},
        {**estimated(60), "progress": {"estimate_available": False, "seconds_remaining": 60}},
        {**estimated(60), "progress": None},
    ],
)
def test_what_is_no_estimate_has_no_row(make: Any, job_record: Any, fields: dict[str, Any]) -> None:
    assert len(analysis.estimates(make(job_record("ft-1", **fields)))) == 0


def test_an_extreme_time_or_amount_costs_no_other_job_its_numbers(make: Any, job_record: Any) -> None:
    far = ("0001-01-02T00:00:00Z", "9999-12-31T23:59:59Z")
    events = [{"type": t, "created_at": at} for t, at in zip(("training_start", "job_restarted"), far, strict=True)]
    running = {**estimated(1e300, events=PLAIN[:3]), "status": "running"}
    snapshot = make(
        job_record("ft-1", events=PLAIN, total_price=4 * 10**9, token_count=1000),
        job_record("ft-2", events=events, created_at=far[1], total_price=10**17, token_count=1),
        job_record("ft-3", **running),
    )
    for name in {*analysis.__all__} - {"reconcile"}:  # which needs a bill
        function = getattr(analysis, name)
        if "snapshot" in getattr(function, "__annotations__", ()):
            function(snapshot)
    times = rows(analysis.job_times(snapshot), "job_id", "training_seconds")
    assert times[0] == ("ft-1", pytest.approx(3600))
    assert times[1] == ("ft-2", pytest.approx(315_537_811_199))
    assert rows(analysis.estimates(snapshot), "job_id", "estimated_end") == [("ft-3", None)]
    prices = rows(analysis.prices(snapshot), "job_id", "usd_per_million_tokens")
    assert prices == [("ft-1", Decimal(4000)), ("ft-2", None)]
    assert "ft-3" in html_report.build_page(snapshot).html
