"""Which copy of a job wins (survivorship), and what its other copies add.

The greater `updated_at` wins, no time being the least; then the newer observation; then, within a run, a detail over a
list item, and at last the greater canonical JSON. The loser fills what only a detail carries and the winner lacks.
It is applied three times: `deduplicate` to the copies within one response, `ranked_copies` to those of one run, and
`merge/merger.py` to the winner of the run and the stored row.
"""

from __future__ import annotations

from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.transform.timestamps import INSTANT, NEVER

RANK = [(name, "descending") for name in ("updated_at", "observed_at", "detail")]
# What makes a state of a job, besides the refund: that one comes with a detail only, so NULL is unknown, not changed.
STATE = ("status", "updated_at", "total_price_nanousd", "token_count")
REFUND = "refund_amount_nanousd"


def or_never(updated_at: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The times to compare by: where there is none, one before all others."""
    return pc.fill_null(updated_at, pa.scalar(NEVER, INSTANT))


def is_newer(
    updated_at: pa.Array, observed_at: pa.Array, old_updated_at: pa.Array, old_observed_at: pa.Array
) -> pa.Array:
    """By row whether the first of two copies wins, which it does also where neither is newer."""
    updated, old_updated = or_never(updated_at), or_never(old_updated_at)
    later = pc.fill_null(pc.greater_equal(observed_at, old_observed_at), True)
    return pc.or_(pc.greater(updated, old_updated), pc.and_(pc.equal(updated, old_updated), later))


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
