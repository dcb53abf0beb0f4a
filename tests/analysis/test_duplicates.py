"""Jobs that were probably started twice, and what the second one cost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ftetl
from ftetl import analysis
from ftetl.errors import UsageError

D = Decimal
Job = dict[str, Any]


def job(job_id: str, at: str, **fields: Any) -> Job:
    fields = {"training_file": "file-a", "n_epochs": 3, "learning_rate": 1e-5, "packing": True} | fields
    return {"id": job_id, "status": "completed", "created_at": f"2026-07-02T{at}Z", "model": "m", **fields}


def pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return [*zip(frame.job_id, frame.duplicate_of, strict=True)]


def test_a_job_like_the_one_before_it_is_a_duplicate_with_its_cost(make: Any) -> None:
    found = analysis.likely_duplicates(
        make(
            job("ft-1", "08:00:00", total_price=5 * 10**9, user_id="u1", suffix="s"),
            job("ft-2", "08:02:30", total_price=4_000_000_001, refund_amount=10**9, user_id="u2", suffix="s"),
            job("ft-3", "08:12:30", status="running", total_price=0, suffix="s"),
            job("ft-4", "08:22:31", total_price=10**9, suffix="s"),  # ten minutes and a second later
        )
    )

    assert [*found.columns] == [
        *("project", "job_id", "duplicate_of", "created_at", "seconds", "user_id", "model", "training_file", "suffix"),
        *("status", "charged_usd", "refunded_usd", "net_usd"),
    ]
    second, third = found.astype(object).itertuples(index=False)
    assert tuple(second)[1:3] == ("ft-2", "ft-1")
    assert tuple(second)[4:] == (150, "u2", "m", "file-a", "s", "completed", D("4.000000001"), D(1), D("3.000000001"))
    assert tuple(third)[1:3] == ("ft-3", "ft-2")
    assert tuple(third)[4:10] == (600, pd.NA, "m", "file-a", "s", "running")
    assert all(value is pd.NA for value in tuple(third)[10:])  # it has no price yet


DIFFERENT: dict[str, Job] = {
    "file": {"training_file": "file-b"},
    "validation file": {"validation_file": "file-v"},
    "model": {"model": "n"},
    "suffix": {"suffix": "b"},
    "epochs": {"n_epochs": 4},
    "learning rate": {"learning_rate": 2e-5},
    "packing": {"packing": False},
    "packing unknown": {"packing": None},
    "seed": {"random_seed": 7},
    "batch size": {"batch_size": "max"},
    "kind of training": {"training_type": {"type": "Lora", "lora_r": 8}},
    "method": {"training_method": {"method": "dpo", "dpo_beta": 0.1}},
    "scheduler": {"lr_scheduler": {"lr_scheduler_type": "cosine", "lr_scheduler_args": {"num_cycles": 0.5}}},
    "checkpoint": {"from_checkpoint": "ft-0"},
}


@pytest.mark.parametrize("fields", DIFFERENT.values(), ids=[*DIFFERENT])
def test_a_job_that_differs_is_none(make: Any, fields: Job) -> None:
    assert pairs(analysis.likely_duplicates(make(job("ft-1", "08:00:00"), job("ft-2", "08:01:00", **fields)))) == []


@pytest.mark.parametrize(
    "fields", [{"status": "error", "token_count": 7}, {"user_id": "u2"}, {"wandb_name": "run 2"}, {"suffix": ""}]
)
def test_what_the_request_did_not_say_makes_no_difference(make: Any, fields: Job) -> None:
    found = analysis.likely_duplicates(make(job("ft-1", "08:00:00"), job("ft-2", "08:01:00", **fields)))
    assert pairs(found) == [("ft-2", "ft-1")]


def test_other_jobs_in_between_make_no_difference(make: Any) -> None:
    jobs = [job(f"ft-{n}", f"08:0{n}:00", training_file=f"file-{n % 2}") for n in range(4)]
    found = analysis.likely_duplicates(make(*reversed(jobs)))
    assert pairs(found) == [("ft-2", "ft-0"), ("ft-3", "ft-1")]


def test_without_a_file_or_a_time_nothing_is_known(make: Any) -> None:
    jobs = [job("ft-1", "08:00:00", training_file=None), job("ft-2", "08:00:01", training_file="")]
    dateless = [{**job(f"ft-{n}", ""), "created_at": None} for n in (3, 4)]
    assert pairs(analysis.likely_duplicates(make(*jobs, *dateless))) == []


def test_the_job_that_took_the_place_of_a_restarted_one_is_none(make: Any) -> None:
    restart = {"type": "JOB_RESTARTED", "created_at": "2026-07-02T08:01:00Z", "message": "restarted as ft-2"}
    jobs = [
        job("ft-1", "08:00:00", events=[restart]),
        job("ft-2", "08:01:00"),
        job("ft-3", "08:03:00", total_price=10**9),
    ]
    assert pairs(analysis.likely_duplicates(make(*jobs))) == [("ft-3", "ft-2")]


def test_jobs_of_two_projects_are_none(make: Any, tmp_path: Path) -> None:
    for number, project in enumerate(["a", "b"]):
        make(job(f"ft-{number}", "08:00:00"), project=project)
    both = ftetl.open(tmp_path / "target-a", tmp_path / "target-b")
    assert pairs(analysis.likely_duplicates(both)) == []


@pytest.mark.parametrize(("minutes", "found"), [(0, 0), (0.5, 1), (1, 2), (1e9, 3)])
def test_how_far_apart_is_the_callers_choice(make: Any, minutes: float, found: int) -> None:
    jobs = [job("ft-1", "08:00:00"), job("ft-2", "08:00:30"), job("ft-3", "08:01:30"), job("ft-4", "20:00:00")]
    assert len(analysis.likely_duplicates(make(*jobs), minutes)) == found


@pytest.mark.parametrize("minutes", [-1, float("nan"), "ten", None, True])
def test_what_is_no_number_of_minutes_is_refused(make: Callable[..., Any], minutes: Any) -> None:
    with pytest.raises(UsageError, match="minutes"):
        analysis.likely_duplicates(make(), minutes)
