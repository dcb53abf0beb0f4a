"""How long is waited: jitter within its bounds, `Retry-After` in all its forms, and a pause for all_workers."""

from __future__ import annotations

import threading

import pytest

from ftetl.clock import Deadline
from ftetl.extract.together_api.retry import RetryPolicy, parse_retry_after

DATE = "Mon, 23 Nov 2026 04:20:00 GMT"
FAR = 999_999_999.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "99999999999"}, 99999999999.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "5, 10"}, None),
        ({"retry-after": "\uff11\uff12"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "0.5"}, 0.0005),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"date": DATE, "retry-after": "Mon, 23 Nov 2026 04:20:30 GMT"}, 30.0),
        ({"date": DATE, "retry-after": "Mon, 23 Nov 2026 04:19:30 GMT"}, None),
        ({"date": DATE, "retry-after": DATE}, None),
        ({"date": DATE, "retry-after": "Mon, 23 Nov 2026 04:20:30 -0000"}, 30.0),
        ({"date": DATE, "retry-after": "Mon, 99 Nov 2026 04:20:30 GMT"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
        ({"date": "nonsense", "retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_parsed_or_absent(headers: dict[str, str], seconds: float | None) -> None:
    assert seconds == parse_retry_after(headers)


def test_a_retry_after_date_in_the_year_9999_is_a_long_wait() -> None:
    wait = parse_retry_after({"date": DATE, "retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"})

    assert wait is not None
    assert wait > FAR


@pytest.mark.parametrize(
    ("failures", "asked", "most"),
    [(1, None, 1.0), (2, None, 2.0), (5, None, 16.0), (1, 7.0, 7.0), (5, 7.0, 16.0)],
)
def test_a_wait_is_the_backoff_or_retry_after_whichever_is_longer(
    failures: int, asked: float | None, most: float
) -> None:
    waits: list[float] = []
    ranges: list[tuple[float, float]] = []

    def upper(low: float, high: float) -> float:
        ranges.append((low, high))
        return high

    retry = RetryPolicy(Deadline(1000), sleep=waits.append, rng=upper)

    assert retry.back_off(failures, asked, all_workers=False)
    assert [most] == waits
    assert [(0.0, 2.0 ** (failures - 1))] == ranges


@pytest.mark.parametrize("all_workers", [False, True])
def test_a_wait_longer_than_the_deadline_is_not_begun(all_workers: bool) -> None:
    waits: list[float] = []
    retry = RetryPolicy(Deadline(5), sleep=waits.append)

    assert not retry.back_off(1, 10.0, all_workers=all_workers)
    assert retry.wait_for_pause()
    assert waits == []


def test_a_pause_of_all_workers_is_waited_for_before_the_next_request() -> None:
    waits: list[float] = []
    retry = RetryPolicy(Deadline(1000), sleep=waits.append)

    assert retry.back_off(1, 100.0, all_workers=True)
    assert waits == []
    assert retry.wait_for_pause()
    assert retry.wait_for_pause()

    assert len(waits) == 2
    assert all(90.0 < wait <= 100.0 for wait in waits)


def test_stopping_ends_a_wait() -> None:
    retry = RetryPolicy(Deadline(1000))
    waiter = threading.Thread(target=retry.back_off, args=(1, 500.0), kwargs={"all_workers": False})
    waiter.start()

    retry.stop()
    waiter.join(timeout=30)

    assert not waiter.is_alive()
