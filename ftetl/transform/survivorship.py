"""Which copy of a job wins (survivorship), and what its other copies add.

Of two copies whose `updated_at` can be compared the greater one wins, then the newer observation. A time cannot be
compared if it is missing, unreadable, or later than its own observation by more than the clock skew: then the newer
observation wins at once, so that no job stays as it was because its time vanished or once lay in the future. Of one
observation a copy with a time wins over one without. At last, within a run, a detail wins over a list item, then the
greater canonical JSON. The loser fills what only a detail carries and the winner lacks.

Of many copies the winner is the same as if they came one by one in the order of their observation. It is applied three
times: `deduplicate` to the copies within one response, `ranked_copies` to those of one run, and `merge/merger.py` to
the winner of the run and the stored row.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import group_starts, one
from ftetl.clock import SKEW
from ftetl.contract import tables
from ftetl.transform.timestamps import INSTANT, NEVER

RANK = [(name, "descending") for name in ("epoch", "updated_at", "observed_at", "detail")]
# What makes a state of a job, besides the refund: that one comes with a detail only, so NULL is unknown, not changed.
STATE = ("status", "updated_at", "total_price_nanousd", "token_count")
REFUND = "refund_amount_nanousd"


def or_never(updated_at: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The times to compare by: where there is none, one before all others."""
    return pc.fill_null(updated_at, pa.scalar(NEVER, INSTANT))


def comparable(updated_at: datetime | None, observed_at: datetime) -> datetime:
    """The time of one copy to compare it by: before all others where it cannot be compared."""
    return updated_at if updated_at is not None and updated_at - observed_at <= SKEW else NEVER


def comparable_times(updated_at: pa.Array | pa.ChunkedArray, observed_at: pa.Array | pa.ChunkedArray) -> pa.Array:
    """`comparable` of many copies."""
    is_sane = pc.less_equal(pc.subtract(updated_at, observed_at), pa.scalar(SKEW, pa.duration("us")))
    return one(or_never(pc.if_else(pc.fill_null(is_sane, True), updated_at, pa.scalar(None, INSTANT))))


def is_newer(
    updated_at: pa.Array, observed_at: pa.Array, old_updated_at: pa.Array, old_observed_at: pa.Array
) -> pa.Array:
    """By row whether the first of two copies wins, which it does also where neither is newer."""
    updated = comparable_times(updated_at, observed_at)
    old_updated = comparable_times(old_updated_at, old_observed_at)
    never = pa.scalar(NEVER, INSTANT)
    both = pc.and_(pc.greater(updated, never), pc.greater(old_updated, never))
    by_time = pc.and_(both, pc.greater(updated, old_updated))
    is_undecided = pc.or_(pc.invert(both), pc.equal(updated, old_updated))
    by_observation = pc.and_(is_undecided, pc.greater(observed_at, old_observed_at))
    at_once = pc.and_(pc.equal(observed_at, old_observed_at), pc.greater_equal(updated, old_updated))
    return pc.fill_null(pc.or_(pc.or_(by_time, by_observation), at_once), True)


def comparison_epochs(job_ids: pa.Array, times: pa.Array, observed_at: pa.Array) -> pa.Array:
    """By copy when, at its own observation or last before it, a copy of its job had no time to compare; else `NEVER`.

    A copy of a later epoch wins over all of an earlier one, and within an epoch the times decide: the winner is that of
    the copies one by one. `times` are the `comparable_times` of the copies.
    """
    never = pa.scalar(NEVER, INSTANT)
    has_time = pc.greater(times, never)
    if pc.all(has_time, min_count=0).as_py():
        return pa.repeat(never, len(times))
    columns = {"job": job_ids, "observed": observed_at, "has_time": pc.cast(has_time, pa.int8())}
    order = pc.sort_indices(pa.table(columns), [(name, "ascending") for name in columns])
    starts = pc.if_else(has_time, pa.scalar(None, INSTANT), observed_at).take(order)
    is_first = pc.and_(group_starts(job_ids.take(order)), pc.is_null(starts))
    by_order = pc.fill_null_forward(pc.if_else(is_first, never, starts))
    return by_order.take(pc.sort_indices(order))


@cache
def state_keys() -> tuple[str, ...]:
    """The API's keys behind a state, but for `updated_at`."""
    return tuple(tables()["jobs"][name].sources[0].keys[0] for name in (*STATE, REFUND) if name != "updated_at")


@cache
def detail_columns() -> tuple[str, ...]:
    """The columns that only a detail fills, but for `extra`, to which a list has something to add."""
    return tuple(c.name for c in tables()["jobs"].columns if c.detail and c.name != "extra")


@cache
def detail_keys() -> tuple[str, ...]:
    """The API's keys behind these columns. A key that no contract knows counts as one of them."""
    columns = (tables()["jobs"][name] for name in detail_columns())
    return tuple(dict.fromkeys(source.keys[0] for column in columns for source in column.sources))
