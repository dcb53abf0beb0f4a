"""How long to wait before asking again: jitter, the server's own wish, and one pause for all workers after a 429.

Knows the deadline and response headers; not who asks, nor what for.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from ftetl.clock import Deadline, now
from ftetl.config import limits

_SECONDS: Final = re.compile(r"[0-9]{1,18}")
_MILLISECONDS: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?")


class RetryPolicy:
    """The waiting of one run, shared by its workers.

    `sleep` waits that many seconds, and `rng` gives a number between two; both can be replaced by a test.
    """

    def __init__(
        self,
        deadline: Deadline,
        *,
        sleep: Callable[[float], object] | None = None,
        rng: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._deadline = deadline
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait  # an event and not time.sleep, so that `stop` ends every wait
        self._rng = rng
        self._lock = threading.Lock()
        self._not_before = 0.0  # of the monotonic clock

    def turn(self) -> bool:
        """Wait for the end of the pause, if there is one; False at once if it lasts beyond the deadline."""
        with self._lock:
            seconds = self._not_before - time.monotonic()
        return seconds <= 0.0 or self._wait(seconds)

    def after(self, failures: int, asked: float | None, *, everybody: bool) -> bool:
        """Wait after the given number of failures, `asked` seconds at least; False at once if the deadline is nearer.

        With `everybody` the wait becomes a pause, in which `turn` holds all workers, this one included.
        """
        seconds = self._rng(0.0, min(limits.LONGEST_JITTER, 2.0 ** (failures - 1)))
        seconds = max(seconds, asked or 0.0)
        if not everybody:
            return self._wait(seconds)
        if not self._fits(seconds):
            return False
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)
        return True

    def stop(self) -> None:
        """End every wait now."""
        self._stopped.set()

    def _wait(self, seconds: float) -> bool:
        if not self._fits(seconds):
            return False
        self._sleep(seconds)
        return True

    def _fits(self, seconds: float) -> bool:
        return seconds < self._deadline.left()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks to wait; None where it asks for nothing, or for nothing that can be understood.

    `retry-after-ms` goes before `Retry-After`. A date counts from the answer's own `Date`, not from our clock.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _MILLISECONDS.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment = http_date(text)
    if moment is None:
        return None
    seconds = (moment - (http_date(headers.get("date", "")) or now())).total_seconds()
    return seconds if seconds > 0 else None


def http_date(text: str) -> datetime | None:
    """The moment that a header names; None where it names none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
