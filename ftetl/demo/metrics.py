"""The training metrics of the demo's jobs, for `GET /fine-tunes/{id}/metrics`: loss curves that fit their steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

Job = dict[str, Any]
Entry = dict[str, int | float]

METRICS_SINCE = datetime(2025, 7, 1, tzinfo=UTC)  # nothing was recorded for jobs of before
MOST_STEPS = 40  # training steps of a job that have an entry
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def job_metrics(job: Job) -> list[Entry] | None:
    """The entries of a job in the order of time, of training steps and of evaluations; None if none were recorded.

    `timestamp` is in nanoseconds since 1970, beyond what a float can hold exactly.
    """
    anchors = _anchors(job)
    done, total = job.get("steps_completed") or 0, job.get("total_steps") or 0
    if len(anchors) < 2 or not done or not total or datetime.fromisoformat(job["created_at"]) < METRICS_SINCE:
        return None
    rng = Random(f"metrics/{job['id']}")  # noqa: S311 - invented data, the same in every process
    curve = _Curve(job, rng)
    interval = math.ceil(done / MOST_STEPS)
    entries = []
    for step in [1, *range(interval, done + 1, interval)] if interval > 1 else range(1, done + 1):
        values = curve.training(step)
        entries.append({"timestamp": _ended_at(anchors, step, rng)} | {f"train/{k}": v for k, v in values.items()})
    for event in job["events"]:
        if event["type"] == "EVAL_COMPLETE":
            moment = _ended_at(anchors, event["step"], rng) + 1_000_000
            entries.append({"timestamp": moment} | {f"eval/{k}": v for k, v in curve.evaluation(event["step"]).items()})
    return sorted(entries, key=lambda entry: entry["timestamp"])


def _anchors(job: Job) -> list[tuple[int, datetime]]:
    """(step, time) of the start of the training and of each event that names a step, each later than the one before.

    The last step that was done is before the event that follows, or the last change of the job.
    """
    anchors: list[tuple[int, datetime]] = []
    later = None
    for event in job.get("events") or []:
        step = 0 if event["type"] == "TRAINING_START" else event.get("step") or -1
        moment = datetime.fromisoformat(event["created_at"])
        if (step == 0 and not anchors) or (anchors and step > anchors[-1][0] and moment > anchors[-1][1]):
            anchors.append((step, moment))
            later = None
        elif anchors and later is None and moment > anchors[-1][1]:
            later = moment
    done = job.get("steps_completed") or 0
    if anchors and done > anchors[-1][0]:
        anchors.append((done, later or datetime.fromisoformat(job["updated_at"])))
    return anchors


def _ended_at(anchors: list[tuple[int, datetime]], step: int, rng: Random) -> int:
    """When a step ended, in nanoseconds since 1970: at an even pace between the two anchors around it."""
    at = min(bisect_right(anchors, step, key=lambda anchor: anchor[0]), len(anchors) - 1)
    (step_before, before), (step_after, after) = anchors[at - 1 : at + 1]
    moment = before + (after - before) * (step - step_before) / (step_after - step_before)
    return nanoseconds(moment) + int(rng.random() * 1000)


def nanoseconds(moment: datetime) -> int:
    """A time in nanoseconds since 1970, exact; without an offset it is in UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000


class _Curve:
    """What a job's training is like: it learns fast at first, and evaluations are a little worse than training."""

    def __init__(self, job: Job, rng: Random) -> None:
        self._rng = rng
        self._epochs = job.get("n_epochs") or 1
        self._total = job["total_steps"]
        self._rate = job.get("learning_rate") or 1e-05
        self._warmup = (job.get("warmup_ratio") or 0) * self._total
        self._is_dpo = (job.get("training_method") or {}).get("method") == "dpo"
        self._first, self._last = (0.693, 0.3 + 0.2 * rng.random()) if self._is_dpo else (2.4, 0.8 + 0.5 * rng.random())
        # The best evaluation of a job that was stopped early is the one that the job names.
        self._best = job.get("early_stopping_best_metric") if job.get("early_stopped") else None
        evaluated = [event["step"] for event in job["events"] if event["type"] == "EVAL_COMPLETE"]
        named = job.get("early_stopping_best_step") or 0
        self._best_step = min(evaluated, key=lambda step: abs(step - named), default=0)

    def training(self, step: int) -> Entry:
        """The values of a training step."""
        left = 1 - step / (self._total + 1)
        rate = self._rate * min(1.0, step / self._warmup if self._warmup else 1.0) * left
        values: Entry = {
            **self._place(step),
            "loss": round(self._loss(step) * (0.97 + 0.06 * self._rng.random()), 6),
            "grad_norm": round(0.4 + left * (0.8 + self._rng.random()), 6),
            "learning_rate": rate,
        }
        return values | (self._preferences(step) if self._is_dpo else {})

    def evaluation(self, step: int) -> Entry:
        """The values of an evaluation after a step."""
        loss = round(1.04 * self._loss(step), 6)
        if self._best is not None and self._best_step:
            loss = round(self._best * (1 + 0.5 * (step / self._best_step - 1) ** 2), 6)
        return self._place(step) | {"loss": loss} | (self._preferences(step) if self._is_dpo else {})

    def _place(self, step: int) -> Entry:
        epoch = round(self._epochs * step / self._total, 6)
        return {"global_step": step, "epoch": int(epoch) if epoch.is_integer() else epoch}  # as a Go server writes it

    def _loss(self, step: int) -> float:
        return self._last + (self._first - self._last) * math.exp(-5 * step / self._total)

    def _preferences(self, step: int) -> Entry:
        """What training by preferences (DPO) has beside the loss."""
        learned = 1 - math.exp(-4 * step / self._total)
        chosen, rejected = 0.2 * learned + 0.02 * self._rng.random(), -0.9 * learned - 0.02 * self._rng.random()
        return {
            "rewards/accuracies": round(0.5 + 0.35 * learned, 6),
            "rewards/chosen": round(chosen, 6),
            "rewards/rejected": round(rejected, 6),
            "rewards/margins": round(chosen - rejected, 6),
        }
