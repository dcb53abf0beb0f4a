"""Retries: exponential backoff with jitter, the server's Retry-After, and one pause for all workers after a 429.

What is retried: `response_check` and `network_errors`. How often: `client`, with the numbers of `config.limits`.
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

_SECONDS: Final = re.compile(r"[0-9]{1,18}")
_MILLISECONDS: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?")


class RetryPolicy:
    """The waits between the requests of one run, shared by its workers.

    `sleep` waits that many seconds, and `rng` gives a number between two; tests replace both.
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

    def wait_for_pause(self) -> bool:
        """Wait for the end of the pause of all workers; False at once if it lasts beyond the deadline."""
        with self._lock:
            seconds = self._not_before - time.monotonic()
        return seconds <= 0.0 or self._wait(seconds)

    def back_off(self, failures: int, retry_after: float | None, *, all_workers: bool) -> bool:
        """Wait before a retry; False at once if the deadline is nearer.

        Args:
            failures: How many requests have failed; the upper bound of the backoff doubles with each (full jitter).
            retry_after: The seconds to wait at least.
            all_workers: Do not wait here, but begin a pause, which `wait_for_pause` waits for in every worker.
        """
        backoff = self._rng(0.0, 2.0 ** (failures - 1))
        seconds = max(backoff, retry_after or 0.0)
        if not all_workers:
            return self._wait(seconds)
        if seconds >= self._deadline.left():
            return False
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)
        return True

    def stop(self) -> None:
        """End every wait now."""
        self._stopped.set()

    def _wait(self, seconds: float) -> bool:
        if seconds >= self._deadline.left():
            return False
        self._sleep(seconds)
        return True


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of `retry-after-ms`, else of `Retry-After`; None without either, or if they cannot be parsed.

    A date counts from the response's own `Date`, not from our clock.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _MILLISECONDS.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment = parse_http_date(text)
    if moment is None:
        return None
    seconds = (moment - (parse_http_date(headers.get("date", "")) or now())).total_seconds()
    return seconds if seconds > 0 else None


def parse_http_date(text: str) -> datetime | None:
    """The time in a header; None if it cannot be parsed."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
