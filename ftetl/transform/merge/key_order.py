"""Puts new rows among those of a table that is in key order."""

from __future__ import annotations

from bisect import bisect_left

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one, where

_MAX_INSERTED = 200  # each costs two slices of the table
_MANY_TIMES = 4  # as many stored rows as new ones, from which on it costs less to leave the stored ones where they are


def ordered(parts: list[pa.Table], key: list[str]) -> pa.Table:
    """The rows of all parts in key order; each part is in order already."""
    parts = [p for p in parts if p.num_rows] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    whole = pa.concat_tables(parts)
    return whole.take(pc.sort_indices(whole, [(k, "ascending") for k in key]))


def are_few(new: pa.Table, stored: pa.Table) -> bool:
    """Whether it pays to put new rows of `jobs` among the stored ones with `among`."""
    return bool(new.num_rows * _MANY_TIMES < stored.num_rows)


def among(stored: pa.Table, new: pa.Table) -> pa.Table:
    """The stored rows of `jobs` in key order, with new ones instead of those of the same jobs, and others between."""
    at = pc.index_in(new.column("job_id"), value_set=one(stored.column("job_id")))
    known = one(pc.is_valid(at))
    rows = _replaced(stored, where(new, known), at.drop_null())
    added = where(new, pc.invert(known))
    if not added.num_rows:
        return rows
    if added.num_rows > _MAX_INSERTED:
        return ordered([rows, added], ["job_id"])
    ids, parts, start = rows.column("job_id").to_pylist(), [], 0
    for number, job_id in enumerate(added.column("job_id").to_pylist()):
        place = bisect_left(ids, job_id)
        parts += [rows.slice(start, place - start), added.slice(number, 1)]
        start = place
    return pa.concat_tables([*parts, rows.slice(start)])


def _replaced(stored: pa.Table, new: pa.Table, places: pa.ChunkedArray) -> pa.Table:
    """The stored rows with the new ones in these places; a column without another value is not copied."""
    if not new.num_rows:
        return stored
    mask = one(pc.is_in(stored.column("job_id"), value_set=one(new.column("job_id"))))
    columns = [
        old if old.take(places).equals(cells) else pc.replace_with_mask(one(old), mask, one(cells))
        for old, cells in zip(stored.columns, new.columns, strict=True)
    ]
    return pa.table(columns, stored.schema)
