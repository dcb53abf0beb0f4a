"""The training metrics of the demo fit its jobs: their steps, epochs, evaluations, times and methods."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from ftetl import demo
from ftetl.demo.metrics import METRICS_SINCE, job_metrics
from tests.demo.generator import SEED, generate_jobs

JOBS = demo.load_jobs()
METRICS = {job["id"]: job_metrics(job) for job in JOBS}
RECORDED = [(job, entries) for job in JOBS if (entries := METRICS[job["id"]])]
LIMIT = 2**53


def of(job: dict[str, Any], kind: str, name: str) -> list[Any]:
    return [entry[f"{kind}/{name}"] for entry in METRICS[job["id"]] or () if f"{kind}/{name}" in entry]


def test_old_jobs_and_jobs_without_a_step_have_none() -> None:
    without = [job for job in JOBS if METRICS[job["id"]] is None]

    assert len(RECORDED) > 200
    assert len(without) > 50
    assert all(
        datetime.fromisoformat(job["created_at"]) < METRICS_SINCE
        or not job["steps_completed"]
        or all(event["type"] != "TRAINING_START" for event in job["events"])
        for job in without
    )


@pytest.mark.parametrize("seed", [SEED, 1, 2])
def test_times_are_in_order_within_the_job_and_beyond_what_a_float_holds(seed: int) -> None:
    jobs = generate_jobs(seed, 80)
    recorded = [(job, entries) for job in jobs if (entries := job_metrics(job))]

    assert recorded
    for job, entries in recorded:
        times = [entry["timestamp"] for entry in entries]
        start, end = (datetime.fromisoformat(job[name]).timestamp() for name in ("created_at", "updated_at"))
        assert times == sorted(times)
        assert all(isinstance(time, int) and time > LIMIT for time in times)
        assert start < times[0] / 1e9
        assert times[-1] / 1e9 < end + 1
    assert any(int(float(entry["timestamp"])) != entry["timestamp"] for _, entries in recorded for entry in entries)


def test_an_entry_is_of_a_training_step_or_of_an_evaluation() -> None:
    for _, entries in RECORDED:
        for entry in entries:
            kinds = {name.partition("/")[0] for name in entry if name != "timestamp"}
            assert kinds in ({"train"}, {"eval"})
            assert {f"{kind}/{name}" for kind in kinds for name in ("global_step", "epoch", "loss")} <= set(entry)


def test_steps_and_epochs_are_those_of_the_job() -> None:
    for job, _ in RECORDED:
        steps = of(job, "train", "global_step")
        assert steps == sorted(set(steps))
        assert steps[0] == 1
        assert job["steps_completed"] / 2 < steps[-1] <= job["steps_completed"]
        assert max(of(job, "train", "epoch")) <= job["n_epochs"]


def test_each_evaluation_of_the_job_has_an_entry() -> None:
    evaluated = 0
    for job, _ in RECORDED:
        steps = [event["step"] for event in job["events"] if event["type"] == "EVAL_COMPLETE"]
        assert of(job, "eval", "global_step") == steps
        evaluated += len(steps)

    assert evaluated > 300


def test_the_loss_falls() -> None:
    for job, _ in RECORDED:
        loss = of(job, "train", "loss")
        assert len(loss) < 5 or loss[-1] < loss[0]


def test_the_best_evaluation_of_a_job_that_was_stopped_early_is_the_one_that_it_names() -> None:
    stopped = [job for job, _ in RECORDED if job.get("early_stopped") and job["evals_completed"]]

    assert stopped
    for job in stopped:
        assert min(of(job, "eval", "loss")) == job["early_stopping_best_metric"]


def test_preference_training_has_more_keys() -> None:
    keys = {
        method: {
            name
            for job, entries in RECORDED
            if job["training_method"]["method"] == method
            for e in entries
            for name in e
        }
        for method in ("sft", "dpo")
    }

    assert keys["dpo"] - keys["sft"] == {
        f"{kind}/rewards/{name}"
        for kind in ("train", "eval")
        for name in ("accuracies", "chosen", "rejected", "margins")
    }
    assert keys["sft"] < keys["dpo"]
