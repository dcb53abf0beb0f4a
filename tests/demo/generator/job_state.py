"""The state of a job at a moment, from its timeline; and its times and events as the API writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

from tests.demo.generator.messages import fill_times
from tests.demo.generator.timeline import Event, TimelineEntry

_TERMINAL = frozenset({"completed", "cancelled", "error", "user_error"})
_QUEUED = frozenset({"pending", "queued"})


@dataclass(frozen=True)
class JobState:
    """The state of a job at one moment."""

    status: str
    created: datetime
    updated: datetime
    stage_started: datetime | None  # start of the current stage, or of the last one of a job that has ended
    steps: int
    priced: bool
    refund: int
    events: tuple[tuple[datetime, Event], ...]

    @property
    def is_open(self) -> bool:
        """Whether the job has not ended yet."""
        return self.status not in _TERMINAL

    def count(self, event_type: str) -> int:
        """The number of events of this type."""
        return sum(event.type == event_type for _, event in self.events)


def state_at(entries: Sequence[TimelineEntry], created: datetime, until: datetime) -> JobState:
    """The state at `until` of a job that was created at `created`."""
    past = [
        (created + timedelta(seconds=entry.offset), entry)
        for entry in entries
        if created + timedelta(seconds=entry.offset) <= until
    ]
    last = past[-1][1]
    events = tuple((moment, entry.event) for moment, entry in past if entry.event)
    return JobState(last.status, created, past[-1][0], _stage_start(past), last.steps, last.priced, last.refund, events)


def _stage_start(past: Sequence[tuple[datetime, TimelineEntry]]) -> datetime | None:
    started, stage = None, ""
    for moment, entry in past:
        if entry.status != stage and entry.status not in _TERMINAL | _QUEUED | {"cancel_requested"}:
            started = moment
        stage = entry.status
    return started


def creation_time(entries: Sequence[TimelineEntry], status: str, until: datetime, rng: Random) -> datetime:
    """A time of creation at which the job is in `status` at `until`."""
    spans = [
        (entry.offset, later.offset)
        for entry, later in pairwise(entries)
        if entry.status == status and later.offset > entry.offset
    ]
    start, end = rng.choices(spans, [end - start for start, end in spans])[0]
    # Not near the end: rounding to milliseconds must not move the job into the next status.
    offset = start + (end - start) * rng.uniform(0.05, 0.9)
    moment = until - timedelta(seconds=offset)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def api_time(moment: datetime, *, whole: bool = False) -> str:
    """A time as the API writes it: RFC 3339 in UTC, up to three digits of a fraction, trailing zeros trimmed."""
    digits = "" if whole else f".{moment.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{digits}Z"


def api_events(events: Sequence[tuple[datetime, Event]], *, precise: bool) -> list[dict[str, object]]:
    """The events as the API lists them; only the first has a fraction of a second, unless `precise`."""
    return [
        {
            "created_at": api_time(moment, whole=not precise and number > 0),
            "level": event.level,
            "message": fill_times(event.message, moment),
            "object": "fine-tune-event",
            "type": event.type,
            **event.keys,
        }
        for number, (moment, event) in enumerate(events)
    ]
