"""What happens to each job, from its creation to its end: the story that its fate asks for.

Knows nothing of how a job looks on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.demo.generator import messages
from tests.demo.generator.job_spec import Fate, Plan
from tests.demo.generator.lifecycle import deliver, prepare, start, train
from tests.demo.generator.timeline import Beat, Telling


def story(plan: Plan, rng: Random) -> list[Beat]:
    """The beats of a job up to its end, the first at its creation."""
    telling = Telling(plan, rng)
    telling.note()
    telling.at = rng.uniform(0.02, 0.09)
    telling.say("JOB_PENDING", messages.requested(plan.created), level="")
    telling.wait(2, 9)
    telling.become("queued")
    telling.wait(8, 70 if rng.random() < 0.75 else 2600)
    telling.wait(0, 8 * plan.model.billions)
    _STORIES[plan.fate](telling)
    return telling.beats


def _completed(t: Telling) -> None:
    prepare(t)
    train(t)
    deliver(t)


def _early_stopped(t: Telling) -> None:
    prepare(t)
    train(t, t.rng.uniform(0.35, 0.8))
    best = max(1, int(t.steps * t.rng.uniform(0.6, 0.95)))
    t.say(
        "EARLY_STOPPED",
        f"Training stopped early at step {t.steps}, best evaluation at step {best}",
        keys={
            "early_stopping_best_metric_value": round(t.rng.uniform(0.4, 1.9), 4),
            "early_stopping_best_step": best,
        },
    )
    deliver(t)
    t.pay_back(_unrun(t))


def _user_error(t: Telling) -> None:
    if t.rng.random() < 0.25:
        prepare(t)
        _fail(t, "user_error", "JOB_USER_ERROR", messages.LATE_USER_ERROR)
        t.pay_back(t.plan.charge.total)
        return
    start(t)
    t.wait(1, 2 + 1.5 * t.plan.model.billions)
    _fail(t, "user_error", "JOB_USER_ERROR", t.rng.choice(messages.USER_ERRORS))


def _error(t: Telling) -> None:
    where = t.rng.choice(("download", "training", "training", "training", "upload"))
    if where == "download":
        start(t)
        t.wait(600, 640)
    else:
        prepare(t)
        train(t, 1.0 if where == "upload" else t.rng.uniform(0.1, 0.9))
    _fail(t, "error", "JOB_ERROR", messages.ERRORS[where].format(step=t.steps))
    t.pay_back(t.plan.charge.total if t.priced else 0)


def _restarted(t: Telling) -> None:
    prepare(t)
    train(t, t.rng.uniform(0.15, 0.9))
    t.wait(30, 300)
    _fail(t, "error", "JOB_ERROR", messages.NODE_LOST.format(step=t.steps))
    t.wait(20, 90)
    t.say("JOB_RESTARTED", "Job restarted with a new id", level="Warning")
    t.pay_back(t.plan.charge.total)


def _cancelled(t: Telling) -> None:
    if t.plan.seen_in or t.rng.random() < 0.8:
        prepare(t)
        train(t, t.rng.uniform(0.1, 0.85))
    if t.priced and not t.plan.seen_in and t.rng.random() < 0.35:
        t.say("BILLING_LIMIT", "Monthly spending limit reached", level="Warning")
    else:
        t.status = "cancel_requested"
        t.say("CANCEL_REQUESTED", "Cancellation requested")
    t.wait(4, 45)
    t.status = "cancelled"
    t.say("JOB_STOPPED", "Job stopped at {ctime}", level="Warning")
    t.pay_back(_unrun(t) if t.priced else 0)


def _fail(t: Telling, status: str, kind: str, reason: str) -> None:
    t.wait(1, 5)
    t.status = status
    t.say(kind, reason, level="Error")


def _unrun(t: Telling) -> int:
    """What the steps cost that were not run."""
    total = t.plan.total_steps
    return t.plan.charge.total * (total - t.steps) // total


_STORIES: dict[Fate, Callable[[Telling], None]] = {
    Fate.COMPLETED: _completed,
    Fate.EARLY_STOPPED: _early_stopped,
    Fate.USER_ERROR: _user_error,
    Fate.ERROR: _error,
    Fate.RESTARTED: _restarted,
    Fate.CANCELLED: _cancelled,
}
