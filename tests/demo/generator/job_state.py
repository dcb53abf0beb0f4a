"""A story as it stands at one moment: its events with their dates, and the state that they have led to.

Knows nothing of how a job looks on the wire but how it writes a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

from tests.demo.generator.messages import fill
from tests.demo.generator.timeline import Beat, Event

_TERMINAL = frozenset({"completed", "cancelled", "error", "user_error"})
_QUEUED = frozenset({"pending", "queued"})


@dataclass(frozen=True)
class Seen:
    """A job at one moment."""

    status: str
    created: datetime
    updated: datetime
    stage_started: datetime | None  # of the stage that it is in, or was in when it ended
    steps: int
    priced: bool
    refund: int
    events: tuple[tuple[datetime, Event], ...]

    @property
    def is_open(self) -> bool:
        """Whether more will happen."""
        return self.status not in _TERMINAL

    def count(self, kind: str) -> int:
        """How many events of a type there are."""
        return sum(event.type == kind for _, event in self.events)


def seen(beats: Sequence[Beat], created: datetime, until: datetime) -> Seen:
    """The job that was created then, as it stands at `until`."""
    past = [
        (created + timedelta(seconds=beat.at), beat) for beat in beats if created + timedelta(seconds=beat.at) <= until
    ]
    last = past[-1][1]
    events = tuple((moment, beat.event) for moment, beat in past if beat.event)
    return Seen(last.status, created, past[-1][0], _stage(past), last.steps, last.priced, last.refund, events)


def _stage(past: Sequence[tuple[datetime, Beat]]) -> datetime | None:
    started, stage = None, ""
    for moment, beat in past:
        if beat.status != stage and beat.status not in _TERMINAL | _QUEUED | {"cancel_requested"}:
            started = moment
        stage = beat.status
    return started


def creation(beats: Sequence[Beat], status: str, until: datetime, rng: Random) -> datetime:
    """When the job must have been created for it to be in that status at `until`."""
    spans = [(beat.at, later.at) for beat, later in pairwise(beats) if beat.status == status and later.at > beat.at]
    began, ended = rng.choices(spans, [ended - began for began, ended in spans])[0]
    # Not the last part: what is rounded to milliseconds must not slip into the next status.
    offset = began + (ended - began) * rng.uniform(0.05, 0.9)
    moment = until - timedelta(seconds=offset)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def wire_time(moment: datetime, *, whole: bool = False) -> str:
    """A time as the API writes it: RFC 3339 in UTC, up to three digits of a fraction, trailing zeros trimmed."""
    digits = "" if whole else f".{moment.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{digits}Z"


def wire_events(events: Sequence[tuple[datetime, Event]], *, precise: bool) -> list[dict[str, object]]:
    """The events as the API lists them; only the first has a fraction of a second, unless `precise`."""
    return [
        {
            "created_at": wire_time(moment, whole=not precise and number > 0),
            "level": event.level,
            "message": fill(event.message, moment),
            "object": "fine-tune-event",
            "type": event.type,
            **event.keys,
        }
        for number, (moment, event) in enumerate(events)
    ]
