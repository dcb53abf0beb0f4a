"""A story while it is told: beats in order, each with the state in which it leaves the job.

A beat's time is counted in seconds from the creation, so that a story can be told first and dated afterwards. Knows
nothing of what happens in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from tests.demo.generator.job_spec import Plan
from tests.demo.generator.messages import dollars

_NO_KEYS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True)
class Event:
    """One event before it is dated; `keys` are those beyond type, level and message."""

    type: str
    level: str
    message: str
    keys: Mapping[str, object]


@dataclass(frozen=True)
class Beat:
    """Something that happened `at` so many seconds after the creation, and the state of the job from then on."""

    at: float
    status: str
    steps: int
    priced: bool
    refund: int  # nano-USD
    event: Event | None


class Telling:
    """A story while it is told: where the job stands, and the beats so far."""

    def __init__(self, plan: Plan, rng: Random) -> None:
        self.plan = plan
        self.rng = rng
        self.beats: list[Beat] = []
        self.at = 0.0
        self.status = "pending"
        self.steps = 0
        self.priced = False
        self.refund = 0

    def wait(self, low: float, high: float) -> None:
        """Some seconds go by."""
        self.at += self.rng.uniform(low, high)

    def note(self, event: Event | None = None) -> None:
        """The state is remembered, as of now."""
        self.beats.append(Beat(self.at, self.status, self.steps, self.priced, self.refund, event))

    def become(self, status: str) -> None:
        """The status changes, and no event tells."""
        self.status = status
        self.note()

    def say(self, kind: str, message: str, *, level: str = "Info", keys: Mapping[str, object] = _NO_KEYS) -> None:
        """An event."""
        self.note(Event(kind, level, message, keys))

    def pay_back(self, amount: int) -> None:
        """Refunds come late: minutes, and now and then a day and a half."""
        if not amount:
            return
        self.wait(120, 5400 if self.rng.random() < 0.8 else 130_000)
        self.refund = amount
        self.say("REFUND", f"Refund of {dollars(amount)} issued")
