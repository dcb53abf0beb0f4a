"""Which snapshots are kept; `cleanup.remove_expired` removes the others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

MIN_KEPT = 2  # a reader may be opening the newest; the one before it is the fallback for a damaged newest
KEEP_ALL_FOR = timedelta(hours=24)
KEEP_DAILY_FOR = timedelta(days=7)


def versions_to_keep(committed: Iterable[tuple[int, datetime]], *, keep: int, now: datetime) -> set[int]:
    """Of all versions with their commit times, the newest `keep`, all of 24 hours, and the last of each day of a week.

    At least two are kept; days are those of UTC. The greater version is the newer one, whatever the clock said: a clock
    that goes back does not make a version older, one that runs ahead keeps it longer.
    """
    ordered = sorted(committed)
    kept = {version for version, _ in ordered[-max(keep, MIN_KEPT) :]}
    kept |= {version for version, at in ordered if now - at < KEEP_ALL_FOR}
    last_of_day: dict[date, int] = {
        at.astimezone(UTC).date(): version for version, at in ordered if now - at < KEEP_DAILY_FOR
    }
    return kept | set(last_of_day.values())
