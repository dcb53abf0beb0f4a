"""Which values of a stored job are kept when a newer copy comes, and which ones an older copy still fills.

Column by column, in Arrow; each function gives one value a row. Does not depend on files.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import equal_or_both_null, one
from ftetl.raw.strict_json import compact_json, parse
from ftetl.transform import survivorship
from ftetl.transform.merge.incoming import Incoming

# Columns that ftetl fills itself, not from the API: not compared to decide whether a job has changed.
BOOKKEEPING = ("project", "events_state", "present", "first_seen_at", "last_changed_at")


def detail_wins(new: Incoming, old: pa.Table, wins: pa.Array) -> pa.Array:
    """Whether the incoming copy fills what only a detail fills: it has it, and nothing newer is stored."""
    has_stored = pc.fill_null(pc.equal(old.column("events_state"), "detail"), False)
    for name in survivorship.detail_columns():
        has_stored = pc.or_(has_stored, pc.is_valid(old.column(name)))
    newer = pc.fill_null(pc.greater(new.detail_updated_at, old.column("updated_at")), False)
    newer = pc.and_(wins, pc.or_(pc.invert(new.detail_is_older), newer))
    return one(pc.and_(new.detail, pc.or_(newer, pc.invert(has_stored))))


def merged_column(name: str, new: Incoming, old: pa.Table, wins: pa.Array, detail_wins: pa.Array) -> pa.ChunkedArray:
    """One column of the merged rows.

    Args:
        name: The column.
        new: The incoming copies.
        old: The stored rows beside them, null where there is none.
        wins: Whether the incoming copy is the newer one.
        detail_wins: Whether it fills the columns that only a detail fills.
    """
    value, stored = new.jobs.column(name), old.column(name)
    if name == "extra":
        return _extra(value, stored, wins, detail_wins)
    if name in survivorship.detail_columns():
        # A list may have one of these after all; a key missing in a list item does not delete the stored value.
        listed = pc.if_else(pc.or_(pc.invert(wins), new.detail), stored, pc.coalesce(value, stored))
        return pc.if_else(detail_wins, value, listed)
    return pc.if_else(wins, value, stored)


def _extra(value: pa.ChunkedArray, stored: pa.ChunkedArray, wins: pa.Array, detail_wins: pa.Array) -> pa.ChunkedArray:
    """`extra` of all rows; where a newer copy without a winning detail meets a stored `extra`, the keys of both."""
    alone = pc.if_else(wins, pc.if_else(detail_wins, value, pc.coalesce(value, stored)), pc.coalesce(stored, value))
    alone = pc.if_else(pc.or_(wins, detail_wins), alone, stored)
    both = pc.and_(pc.and_(wins, pc.invert(detail_wins)), pc.fill_null(pc.not_equal(value, stored), False))
    rows = pc.indices_nonzero(both)
    if not len(rows):
        return alone
    pairs = zip(pc.take(stored, rows).to_pylist(), pc.take(value, rows).to_pylist(), strict=True)
    texts = [compact_json(parse(known.encode()) | parse(more.encode())) for known, more in pairs]
    return pc.replace_with_mask(one(alone), one(both), pa.array(texts, pa.string()))


def is_unchanged(cells: dict[str, pa.ChunkedArray], old: pa.Table) -> pa.Array:
    """Whether each row equals the stored one, but for the columns that ftetl fills itself."""
    same = pa.array([True] * old.num_rows, pa.bool_())
    for name, value in cells.items():
        if name in BOOKKEEPING:
            continue
        stored = old.column(name)
        same = pc.and_(same, equal_or_both_null(value, stored))
    return one(same)
