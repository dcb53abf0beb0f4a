"""The timeline of a job from its creation to its end, by its scenario."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.demo.generator import messages
from tests.demo.generator.job_spec import JobSpec, Scenario
from tests.demo.generator.lifecycle import prepare_job, start_job, train, upload_model
from tests.demo.generator.timeline import TimelineBuilder, TimelineEntry


def job_timeline(spec: JobSpec, rng: Random) -> list[TimelineEntry]:
    """The entries of a job up to its end, the first at its creation."""
    timeline = TimelineBuilder(spec, rng)
    timeline.record_state()
    timeline.offset = rng.uniform(0.02, 0.09)
    timeline.add_event("JOB_PENDING", messages.first_message(spec.created), level="")
    timeline.advance(2, 9)
    timeline.set_status("queued")
    timeline.advance(8, 70 if rng.random() < 0.75 else 2600)
    timeline.advance(0, 8 * spec.model.billions)
    _SCENARIOS[spec.scenario](timeline)
    return timeline.entries


def _completed(timeline: TimelineBuilder) -> None:
    prepare_job(timeline)
    train(timeline)
    upload_model(timeline)


def _early_stopped(timeline: TimelineBuilder) -> None:
    prepare_job(timeline)
    train(timeline, timeline.rng.uniform(0.35, 0.8))
    best = max(1, int(timeline.steps * timeline.rng.uniform(0.6, 0.95)))
    timeline.add_event(
        "EARLY_STOPPED",
        f"Training stopped early at step {timeline.steps}, best evaluation at step {best}",
        keys={
            "early_stopping_best_metric_value": round(timeline.rng.uniform(0.4, 1.9), 4),
            "early_stopping_best_step": best,
        },
    )
    upload_model(timeline)
    timeline.add_refund(_price_of_unrun_steps(timeline))


def _user_error(timeline: TimelineBuilder) -> None:
    if timeline.rng.random() < 0.25:
        prepare_job(timeline)
        _fail(timeline, "user_error", "JOB_USER_ERROR", messages.LATE_USER_ERROR)
        timeline.add_refund(timeline.spec.charge.total)
        return
    start_job(timeline)
    timeline.advance(1, 2 + 1.5 * timeline.spec.model.billions)
    _fail(timeline, "user_error", "JOB_USER_ERROR", timeline.rng.choice(messages.USER_ERRORS))


def _error(timeline: TimelineBuilder) -> None:
    failed_step = timeline.rng.choice(("download", "training", "training", "training", "upload"))
    if failed_step == "download":
        start_job(timeline)
        timeline.advance(600, 640)
    else:
        prepare_job(timeline)
        train(timeline, 1.0 if failed_step == "upload" else timeline.rng.uniform(0.1, 0.9))
    _fail(timeline, "error", "JOB_ERROR", messages.ERRORS[failed_step].format(step=timeline.steps))
    timeline.add_refund(timeline.spec.charge.total if timeline.priced else 0)


def _restarted(timeline: TimelineBuilder) -> None:
    prepare_job(timeline)
    train(timeline, timeline.rng.uniform(0.15, 0.9))
    timeline.advance(30, 300)
    _fail(timeline, "error", "JOB_ERROR", messages.NODE_LOST.format(step=timeline.steps))
    timeline.advance(20, 90)
    timeline.add_event("JOB_RESTARTED", "Job restarted with a new id", level="Warning")
    timeline.add_refund(timeline.spec.charge.total)


def _cancelled(timeline: TimelineBuilder) -> None:
    if timeline.spec.open_status or timeline.rng.random() < 0.8:
        prepare_job(timeline)
        train(timeline, timeline.rng.uniform(0.1, 0.85))
    if timeline.priced and not timeline.spec.open_status and timeline.rng.random() < 0.35:
        timeline.add_event("BILLING_LIMIT", "Monthly spending limit reached", level="Warning")
    else:
        timeline.status = "cancel_requested"
        timeline.add_event("CANCEL_REQUESTED", "Cancellation requested")
    timeline.advance(4, 45)
    timeline.status = "cancelled"
    timeline.add_event("JOB_STOPPED", "Job stopped at {ctime}", level="Warning")
    timeline.add_refund(_price_of_unrun_steps(timeline) if timeline.priced else 0)


def _fail(timeline: TimelineBuilder, status: str, event_type: str, reason: str) -> None:
    timeline.advance(1, 5)
    timeline.status = status
    timeline.add_event(event_type, reason, level="Error")


def _price_of_unrun_steps(timeline: TimelineBuilder) -> int:
    total = timeline.spec.total_steps
    return timeline.spec.charge.total * (total - timeline.steps) // total


_SCENARIOS: dict[Scenario, Callable[[TimelineBuilder], None]] = {
    Scenario.COMPLETED: _completed,
    Scenario.EARLY_STOPPED: _early_stopped,
    Scenario.USER_ERROR: _user_error,
    Scenario.ERROR: _error,
    Scenario.RESTARTED: _restarted,
    Scenario.CANCELLED: _cancelled,
}
