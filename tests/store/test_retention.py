"""The keep rule, as a table of ages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ftetl.store.retention import versions_to_keep

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def aged(*hours: float) -> list[tuple[int, datetime]]:
    """Versions 1, 2, …, committed so many hours ago."""
    return [(version, NOW - timedelta(hours=ago)) for version, ago in enumerate(hours, start=1)]


OLD = 24 * 30.0

CASES = {
    "none": ([], 10, set()),
    "one, however old": (aged(OLD), 10, {1}),
    "the newest N": (aged(*[OLD] * 5), 3, {3, 4, 5}),
    "never the newest two": (aged(*[OLD] * 5), 1, {4, 5}),
    "all of the last 24 hours": (aged(OLD, 23.9, 20, 10, 1), 1, {2, 3, 4, 5}),
    "24 hours are over at 24 hours": (aged(OLD, 24, 23.99, 1, 1), 1, {3, 4, 5}),
    "the last of each day for 7 days": (aged(100, 99, 98, 75, 74, 50, 49, 0, 0), 1, {3, 5, 7, 8, 9}),
    "the 8th day is over": (aged(24 * 7 + 0.1, 24 * 7 - 0.1, 0, 0), 1, {2, 3, 4}),
    "a clock that went back": (aged(0, OLD, OLD, OLD), 2, {1, 3, 4}),
    "a clock that ran ahead": (aged(-OLD, OLD, OLD, OLD), 2, {1, 3, 4}),
    "greater version wins within a day, not the later time": (aged(50, 51, 0, 0), 1, {2, 3, 4}),
    "all within N": (aged(OLD, 100, 1), 10, {1, 2, 3}),
}


@pytest.mark.parametrize(("committed", "keep", "expected"), CASES.values(), ids=CASES.keys())
def test_keeps(committed: list[tuple[int, datetime]], keep: int, expected: set[int]) -> None:
    assert expected == versions_to_keep(committed, keep=keep, now=NOW)
    assert expected == versions_to_keep(reversed(committed), keep=keep, now=NOW)


def test_keeps_about_24_snapshots_of_a_month_of_hourly_runs_with_n_10() -> None:
    stay = versions_to_keep(aged(*range(24 * 30, -1, -1)), keep=10, now=NOW)

    assert 24 + 6 <= len(stay) <= 24 + 8
