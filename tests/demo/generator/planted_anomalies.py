"""Anomalies that are planted into completed jobs, so that the demo shows some: unexpected values, and a free job.

None of them makes a job unusable.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

Job = dict[str, Any]


def plant_anomalies(jobs: list[Job], rng: Random) -> list[Job]:
    """The same jobs with each anomaly in one of them."""
    candidates = [job for job in jobs if job["status"] == "completed" and "max_seq_length" in job]
    for job, change in zip(rng.sample(candidates, min(len(candidates), len(_CHANGES))), _CHANGES, strict=False):
        change(job)
    return jobs


def _make_integer_a_text(job: Job) -> None:
    job["max_seq_length"] = str(job["max_seq_length"])


def _set_unknown_event_type(job: Job) -> None:
    start = next(event for event in job["events"] if event["type"] == "TRAINING_START")
    start["type"] = "TRAINING_WARMUP"


def _set_unknown_scheduler(job: Job) -> None:
    job["lr_scheduler"] = {"lr_scheduler_args": {"decay_ratio": 0.2}, "lr_scheduler_type": "wsd"}


def _make_free(job: Job) -> None:
    job |= {"eval_price": 0, "total_price": 0, "train_price": 0}


_CHANGES: tuple[Callable[[Job], None], ...] = (
    _make_integer_a_text,
    _set_unknown_event_type,
    _set_unknown_scheduler,
    _make_free,
)
