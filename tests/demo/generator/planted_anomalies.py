"""The few oddities that a tour of the tool should meet, planted into finished jobs: odd values, a free job, a tiny one.

None of them makes a job unusable. Knows the jobs only as they are on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

Job = dict[str, Any]


def planted(found: list[Job], rng: Random) -> list[Job]:
    """The same jobs, a handful of them odd; each oddity is in one job."""
    ordinary = [job for job in found if job["status"] == "completed" and "max_seq_length" in job]
    for job, change in zip(rng.sample(ordinary, min(len(ordinary), len(_CHANGES))), _CHANGES, strict=False):
        change(job)
    return found


def _text_for_an_integer(job: Job) -> None:
    job["max_seq_length"] = str(job["max_seq_length"])


def _unknown_event_type(job: Job) -> None:
    start = next(event for event in job["events"] if event["type"] == "TRAINING_START")
    start["type"] = "TRAINING_WARMUP"


def _unknown_scheduler(job: Job) -> None:
    job["lr_scheduler"] = {"lr_scheduler_args": {"decay_ratio": 0.2}, "lr_scheduler_type": "wsd"}


def _free(job: Job) -> None:
    job |= {"eval_price": 0, "total_price": 0, "train_price": 0}


_CHANGES: tuple[Callable[[Job], None], ...] = (_text_for_an_integer, _unknown_event_type, _unknown_scheduler, _free)
