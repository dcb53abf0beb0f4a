"""How long is waited: jitter within its bounds, `Retry-After` in all its forms, and a pause for everybody."""

from __future__ import annotations

import threading

import pytest

from ftetl.clock import Deadline
from ftetl.extract.together_api.retry import RetryPolicy, retry_after

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
def test_a_wish_to_wait_is_understood_or_absent(headers: dict[str, str], seconds: float | None) -> None:
    assert seconds == retry_after(headers)


def test_a_date_in_the_year_9999_is_a_long_wait() -> None:
    wait = retry_after({"date": DATE, "retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"})

    assert wait is not None
    assert wait > FAR


@pytest.mark.parametrize(
    ("failures", "asked", "most"),
    [(1, None, 1.0), (2, None, 2.0), (5, None, 16.0), (9, None, 60.0), (1, 7.0, 7.0), (5, 7.0, 16.0)],
)
def test_a_wait_is_jitter_or_the_wish_whichever_is_longer(failures: int, asked: float | None, most: float) -> None:
    waits: list[float] = []
    ranges: list[tuple[float, float]] = []

    def upper(low: float, high: float) -> float:
        ranges.append((low, high))
        return high

    patience = RetryPolicy(Deadline(1000), sleep=waits.append, rng=upper)

    assert patience.after(failures, asked, everybody=False)
    assert [most] == waits
    assert [(0.0, min(60.0, 2.0 ** (failures - 1)))] == ranges


@pytest.mark.parametrize("everybody", [False, True])
def test_a_wait_beyond_the_deadline_is_not_begun(everybody: bool) -> None:
    waits: list[float] = []
    patience = RetryPolicy(Deadline(5), sleep=waits.append)

    assert not patience.after(1, 10.0, everybody=everybody)
    assert patience.turn()
    assert waits == []


def test_a_pause_for_everybody_is_waited_for_at_the_next_turn() -> None:
    waits: list[float] = []
    patience = RetryPolicy(Deadline(1000), sleep=waits.append)

    assert patience.after(1, 100.0, everybody=True)
    assert waits == []
    assert patience.turn()
    assert patience.turn()

    assert len(waits) == 2
    assert all(90.0 < wait <= 100.0 for wait in waits)


def test_stopping_ends_a_wait() -> None:
    patience = RetryPolicy(Deadline(1000))
    waiter = threading.Thread(target=patience.after, args=(1, 500.0), kwargs={"everybody": False})
    waiter.start()

    patience.stop()
    waiter.join(timeout=30)

    assert not waiter.is_alive()
