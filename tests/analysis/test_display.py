"""Frames made ready for a chart and for reading."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl import analysis
from ftetl.analysis.months import MAX_PERIODS
from ftetl.snapshot.snapshot import Snapshot

D = Decimal
MONTHS = st.dates(date(1, 1, 1), date(9999, 12, 31)).map(lambda day: day.replace(day=1))


def frame(months: list[date | None]) -> pd.DataFrame:
    count = len(months)
    columns = {
        "month": pa.array(months, pa.date32()),
        "jobs": pa.array([1] * count, pa.int64()),
        "net_usd": pa.array([D("0.1")] * count, pa.decimal128(28, 9)),
        "success_rate": pa.array([None] * count, pa.float64()),
    }
    return pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)


@given(st.lists(st.none() | MONTHS, unique=True, max_size=20))
def test_over_time_loses_nothing_but_what_has_no_time(months: list[date | None]) -> None:
    found = analysis.over_time(frame(months))
    dated = [month for month in months if month]

    assert [*found.columns] == ["period", "jobs", "net_usd"]
    assert (found.jobs.sum(), found.net_usd.sum()) == (len(dated), len(dated) * D("0.1"))
    assert found.period.is_unique
    assert [*found.period] == sorted(found.period)
    assert len(found) <= max(MAX_PERIODS, len(dated))


def test_a_month_without_jobs_is_there() -> None:
    found = analysis.over_time(frame([date(2026, 7, 1), date(2026, 9, 1)]))

    assert [*zip(found.period, found.jobs, found.net_usd, strict=True)] == [
        ("2026-07", 1, D("0.1")),
        ("2026-08", 0, 0),
        ("2026-09", 1, D("0.1")),
    ]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("net_usd", D("1234.567000000"), "$1,234.57"),
        ("month", date(2026, 7, 1), "2026-07"),
        ("day", date(2026, 7, 1), "2026-07-01"),
        ("seconds", 4320.0, "1 h 12 min"),
        ("error_seconds", -90.0, "-1 min 30 s"),
        ("success_rate", 0.934, "93.4 %"),
        ("learning_rates", 1e-05, "1e-05"),
        ("jobs", 1234, "1,234"),
        ("minimum_charge", True, "True"),
        ("newest", pd.Timestamp("2026-07-02T08:10:14Z"), "2026-07-02 08:10"),
        ("reason", "a\nb\0c", "a b c"),
        ("reason", "x" * 200, "x" * 47 + "\u2026" + "x" * 48),
        ("reason", None, "\u2013"),
    ],
)
def test_a_cell_is_formatted_by_its_column(column: str, value: Any, expected: str) -> None:
    one = pa.table({column: pa.array([value])}).to_pandas(types_mapper=pd.ArrowDtype)

    assert [*analysis.shown(one)[column]] == [expected]


def test_about_says_what_a_snapshot_holds(make: Any, job_record: Any) -> None:
    assert analysis.about(make()) == "0 jobs of the project default."
    assert analysis.about(make(job_record("a"), job_record("b", created_at=None, updated_at=None), project="p")) == (
        "2 jobs of the project p, created from 2026-07-02 to 2026-07-02 (UTC)."
    )


MOST_NANO = 2**63 - 1
LAST = "9999-12-31T23:59:59Z"


@pytest.fixture
def far(make: Any, job_record: Any) -> Snapshot:
    """Jobs beyond all sense: more money than int64 holds, and times that lie thousands of years apart."""
    events = [{"type": kind, "created_at": "1970-01-02T00:00:00Z"} for kind in ("job_start", "job_restarted")]
    events += [
        {"type": "training_start", "created_at": "1970-01-02T00:00:00Z"},
        {"type": "job_complete", "created_at": LAST},
    ]
    running = {"status": "running", "started_at": "2026-07-02T08:10:14Z"}
    return make(
        job_record(
            "a", total_price=MOST_NANO, suffix="s", token_count=1, created_at="1970-01-01T00:00:00Z", events=events
        ),
        job_record("b", total_price=MOST_NANO, suffix="s", token_count=1, created_at=LAST),
        job_record("c", **running, progress={"estimate_available": True, "seconds_remaining": 1e300}),
        job_record("d", **running, progress={"estimate_available": True, "seconds_remaining": 9e11}),
    )


def test_money_beyond_all_sense_is_summed_exactly(far: Snapshot) -> None:
    (net,) = analysis.spend(far, "project").net_usd

    assert net == 2 * D(MOST_NANO) / 10**9


def test_what_lies_beyond_all_sense_costs_no_other_job_its_figures(far: Snapshot) -> None:
    assert analysis.prices(far).usd_per_million_tokens.isna().all()
    assert analysis.restarts(far).seconds[0] > 250e9
    assert analysis.job_times(far).training_seconds[0] > 250e9
    assert analysis.estimates(far).estimated_end.isna().all()
    assert [*analysis.shown(analysis.estimates(far)).estimated_end] == ["\u2013"] * 2
