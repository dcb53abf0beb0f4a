"""Prices of finished jobs that are others now: a unit that changed, prices that were lost, or a true re-pricing.

A job that ended before this run has its price: it seldom changes in one job, and not in many at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.transform.column_drift import ChangedMoney


class PriceChanges:
    """Counts, batch by batch, the finished jobs whose price changed, or whose refund became less."""

    def __init__(self) -> None:
        self._had: Counter[str] = Counter()
        self._changed: Counter[str] = Counter()

    def add_jobs(self, new: pa.Table, old: pa.Table, replaced: pa.Array, detailed: pa.Array) -> None:
        """Add the incoming rows of `jobs` beside their stored ones; the arguments are those of `MissingValues`."""
        # A job that runs again, restarted under its id, has no price yet.
        finished = pc.and_(
            pc.fill_null(old.column("is_terminal"), False), pc.fill_null(new.column("is_terminal"), True)
        )
        for key, rows, changes in (
            ("total_price", replaced, pc.not_equal),
            ("refund_amount", detailed, pc.less),
        ):
            value, stored = new.column(f"{key}_nanousd"), old.column(f"{key}_nanousd")
            had = pc.and_(pc.and_(finished, rows), pc.fill_null(pc.not_equal(stored, 0), False))  # 0: not priced yet
            changed = pc.and_(had, pc.fill_null(changes(value, stored), False))
            self._had[key] += pc.sum(one(had)).as_py() or 0
            self._changed[key] += pc.sum(one(changed)).as_py() or 0

    def found(self) -> Iterator[ChangedMoney]:
        """The keys with a changed value."""
        for key, jobs in self._changed.items():
            if jobs:
                yield ChangedMoney(key, self._had[key], jobs)
