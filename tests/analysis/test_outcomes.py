"""What became of jobs, counted by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from ftetl import analysis
from ftetl.snapshot.snapshot import Snapshot


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The frame's rows as plain values; what is missing is None."""
    picked = frame[list(columns)].astype(object)
    return [tuple(None if value is pd.NA else value for value in row) for row in picked.itertuples(index=False)]


def ended(kind: str, message: str, at: str = "2026-07-02T09:00:00Z") -> list[dict[str, str]]:
    return [{"type": kind, "message": message, "created_at": at}]


@pytest.fixture
def snapshot(make: Any, job_record: Any) -> Snapshot:
    return make(
        job_record("ft-1"),
        job_record("ft-2"),
        job_record("ft-3", status="cancelled"),
        job_record(
            "ft-4", status="error", total_price=5 * 10**9, events=ended("JOB_ERROR", "lost worker 5 at step 185")
        ),
        job_record(
            "ft-5", status="error", events=ended("JOB_ERROR", "lost worker 12 at step 3", "2026-07-03T00:00:00Z")
        ),
        job_record("ft-6", status="user_error", events=ended("JOB_USER_ERROR", "no examples")),
        job_record("ft-7", status="user_error"),
        job_record("ft-8", status="running", model="n"),
        job_record("ft-9", status=None, model="n"),
    )


def test_cancelled_and_open_jobs_neither_completed_nor_failed(snapshot: Snapshot) -> None:
    found = analysis.success(snapshot, "model")
    counts = ("jobs", "completed", "error", "user_error", "cancelled", "unfinished", "success_rate")
    assert rows(found, "model", *counts) == [("m", 7, 2, 2, 2, 1, 0, 2 / 6), ("n", 2, 0, 0, 0, 0, 2, None)]


def test_like_reasons_are_one_row_and_numbers_do_not_part_them(snapshot: Snapshot) -> None:
    found = analysis.failures(snapshot)
    assert rows(found, "status", "reason", "jobs", "net_usd", "example") == [
        ("error", "lost worker # at step #", 2, Decimal(5), "ft-5"),
        ("user_error", "no examples", 1, Decimal(0), "ft-6"),
        ("user_error", None, 1, Decimal(0), "ft-7"),
    ]
    assert found.newest[0] == pd.Timestamp("2026-07-03T00:00:00Z")


RESTART = "2026-07-02T09:00:00Z"


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], None),
        ([{"created_at": "2026-07-02T09:00:02Z"}], "ft-b0"),
        ([{"created_at": RESTART}], "ft-b0"),
        ([{"created_at": "2026-07-02T08:59:59Z"}], None),
        ([{"created_at": "2026-07-03T00:00:00Z"}, {"created_at": "2026-07-02T10:00:00Z"}], "ft-b1"),
        ([{"created_at": "2026-07-02T09:00:02Z", "suffix": "other"}], None),
        ([{"created_at": "2026-07-02T09:00:02Z", "training_file": "file-2"}], None),
        ([{"created_at": "2026-07-02T09:00:02Z", "model": "n"}], None),
        ([{"created_at": None}], None),
    ],
)
@pytest.mark.parametrize("suffix", ["faq", None])
def test_a_restarted_job_is_followed_by_the_first_like_it(
    make: Any, job_record: Any, others: list[dict[str, Any]], expected: str | None, suffix: str | None
) -> None:
    same = {"suffix": suffix, "training_file": "file-1"}
    old = job_record("ft-a", status="error", events=ended("JOB_RESTARTED", "again", RESTART), **same)
    new = [job_record(f"ft-b{n}", **{**same, **other}) for n, other in enumerate(others)]
    assert rows(analysis.restarts(make(old, *new)), "job_id", "restarted_as") == [("ft-a", expected)]


def test_restarts_of_restarts_form_a_chain(make: Any, job_record: Any) -> None:
    def at(minute: int) -> str:
        return f"2026-07-02T09:{minute:02}:00Z"

    found = analysis.restarts(
        make(
            job_record("ft-c", created_at=at(2), events=ended("JOB_RESTARTED", "again", at(3))),
            job_record("ft-a", created_at=at(0), events=ended("JOB_RESTARTED", "again", at(1))),
            job_record("ft-b", created_at=at(4)),
        )
    )
    assert rows(found, "job_id", "restarted_as", "seconds") == [("ft-a", "ft-c", 60.0), ("ft-c", "ft-b", 60.0)]


def test_without_jobs_every_analysis_is_empty_and_has_its_columns(make: Any) -> None:
    nothing = make()
    for name in {*analysis.__all__} - {"about", "over_time", "reconcile", "shown", "stage_names"}:
        function = getattr(analysis, name)
        if "snapshot" in getattr(function, "__annotations__", ()):
            found = function(nothing)
            assert len(found) == 0
            assert len(found.columns) > 2
            assert all(isinstance(kind, pd.ArrowDtype) for kind in found.dtypes), name


@pytest.mark.parametrize("by", analysis.BY)
def test_success_is_grouped_by_every_word_there_is(make: Any, job_record: Any, by: str) -> None:
    (row,) = rows(
        analysis.success(make(job_record("ft-1", training_type={"type": "Lora"})), by), by, "jobs", "completed"
    )
    assert row[1:] == (1, 1)
