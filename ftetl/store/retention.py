"""Which versions stay: the newest few, those of the last day, one a day for a week. A pure rule; it removes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

# A reader may be opening the newest, and the one before it is what a damaged newest falls back to.
NEVER_REMOVED = 2
ALL_OF = timedelta(hours=24)
ONE_A_DAY_FOR = timedelta(days=7)


def versions_to_keep(committed: Iterable[tuple[int, datetime]], *, keep: int, now: datetime) -> set[int]:
    """The versions to keep, of all those committed with their times.

    The newest `keep` (never fewer than two), all younger than 24 hours, and the last of each UTC day younger than 7
    days. New is what has the greater version: a clock that goes back does not make a version older, one that runs
    ahead keeps it longer.
    """
    ordered = sorted(committed)
    stay = {version for version, _ in ordered[-max(keep, NEVER_REMOVED) :]}
    stay |= {version for version, at in ordered if now - at < ALL_OF}
    last_of_day: dict[date, int] = {
        at.astimezone(UTC).date(): version for version, at in ordered if now - at < ONE_A_DAY_FOR
    }
    return stay | set(last_of_day.values())
