"""The two clocks of a run: the monotonic one for its deadline, the wall clock for the times it stores."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

SKEW: Final = timedelta(minutes=5)  # allowed between this machine's clock and the service's


class Deadline:
    """When the network part of a run ends, even if the wall clock is set meanwhile."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that remain; 0.0 once the deadline has passed."""
        return max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        """Whether no further request may be made."""
        return self.left() <= 0.0


def now() -> datetime:
    """The current time in UTC, to the microsecond, as the tables store it."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """A time as CSV files and manifests have it: `2026-07-02T08:10:14.250000Z`."""
    # Not strftime, whose years before 1000 have fewer than four digits.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_iso(text: str) -> datetime:
    """The time that `iso` wrote, or that a user typed as ISO 8601; without a zone it is UTC.

    Raises:
        ValueError: The text is not an ISO 8601 date or time.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def seconds_ahead(of: datetime, sent_at: datetime, received_at: datetime) -> float:
    """How many seconds our clock is ahead of one that showed the time `of` between a request and its response.

    `of` is the response's `Date` header.

    Negative where it is behind; 0 where the time between request and response explains the difference.
    """
    if of < sent_at:
        return (sent_at - of).total_seconds()
    return min(0.0, (received_at - of).total_seconds())
