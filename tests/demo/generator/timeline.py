"""The timeline of a job: entries in order, each with the state of the job from then on.

Times are in seconds after the creation of the job, so that the timeline can be made before its date is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from tests.demo.generator.job_spec import JobSpec
from tests.demo.generator.messages import format_dollars

_NO_KEYS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True)
class Event:
    """An event without its date; `keys` are those beyond type, level and message."""

    type: str
    level: str
    message: str
    keys: Mapping[str, object]


@dataclass(frozen=True)
class TimelineEntry:
    """The state of the job from this moment on, and the event that led to it."""

    offset: float  # seconds after the creation
    status: str
    steps: int
    priced: bool
    refund: int  # nano-USD
    event: Event | None


class TimelineBuilder:
    """Builds a timeline: holds the current state of the job and the entries so far."""

    def __init__(self, spec: JobSpec, rng: Random) -> None:
        self.spec = spec
        self.rng = rng
        self.entries: list[TimelineEntry] = []
        self.offset = 0.0
        self.status = "pending"
        self.steps = 0
        self.priced = False
        self.refund = 0

    def advance(self, low: float, high: float) -> None:
        """Moves the clock by a random number of seconds."""
        self.offset += self.rng.uniform(low, high)

    def record_state(self, event: Event | None = None) -> None:
        """Appends an entry with the current state."""
        self.entries.append(TimelineEntry(self.offset, self.status, self.steps, self.priced, self.refund, event))

    def set_status(self, status: str) -> None:
        """Changes the status without an event."""
        self.status = status
        self.record_state()

    def add_event(
        self, event_type: str, message: str, *, level: str = "Info", keys: Mapping[str, object] = _NO_KEYS
    ) -> None:
        """Appends an entry with an event."""
        self.record_state(Event(event_type, level, message, keys))

    def add_refund(self, amount: int) -> None:
        """Appends a refund, minutes later and now and then a day and a half later; nothing for an amount of 0."""
        if not amount:
            return
        self.advance(120, 5400 if self.rng.random() < 0.8 else 130_000)
        self.refund = amount
        self.add_event("REFUND", f"Refund of {format_dollars(amount)} issued")
