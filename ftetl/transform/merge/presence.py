"""Decides the column `present` of `jobs`: false for a job that is missing from the newest complete list.

A stored job without a new copy is marked by `mark_missing_jobs`; for a job with one `is_present` decides.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.transform.merge.incoming import Incoming
from ftetl.transform.merge.run_context import RunContext
from ftetl.transform.timestamps import INSTANT


@dataclass(frozen=True)
class MarkedRows:
    """Stored rows of `jobs` with `present` brought up to date, and how many changed which way."""

    rows: pa.Table
    missing: int = 0
    reappeared: int = 0


def mark_missing_jobs(
    rows: pa.Table, context: RunContext, unchanged_ids: pa.Array, quarantined_ids: AbstractSet[str]
) -> MarkedRows:
    """Stored rows without a new copy: present if the list has the job unchanged, else missing if a complete list came.

    Args:
        rows: Stored rows of `jobs`.
        context: Of the run.
        unchanged_ids: Those of the context, as an array.
        quarantined_ids: Jobs of which a copy is in quarantine: received, so not missing.
    """
    if not (context.list_is_current or context.complete_list is not None) or not rows.num_rows:
        return MarkedRows(rows)
    present = rows.column("present")
    is_listed = pc.is_in(rows.column("job_id"), value_set=unchanged_ids)
    list_time = pa.scalar(context.newest_whole_at, INSTANT)
    # A job that changed after the list was received is not missing from it, unless the list comes from the service now.
    is_older = pc.or_(pc.less_equal(rows.column("last_changed_at"), list_time), context.live_at is not None)
    is_excluded = pc.or_(is_listed, _may_not_be_missing(rows, context, quarantined_ids))
    is_missing = pc.and_(pc.and_(present, is_older), pc.invert(is_excluded))
    reappeared = pc.and_(is_listed, pc.invert(present))
    changed_at = pc.if_else(pc.or_(is_missing, reappeared), list_time, rows.column("last_changed_at"))
    rows = _with_column(rows, "present", pc.or_(reappeared, pc.and_(present, pc.invert(is_missing))))
    rows = _with_column(rows, "last_changed_at", changed_at)
    return MarkedRows(rows, pc.sum(is_missing).as_py() or 0, pc.sum(reappeared).as_py() or 0)


def is_present(new: Incoming, old: pa.Table, known: pa.Array, context: RunContext) -> pa.Array:
    """Whether the newest complete list, or a response newer than it, has the job.

    Args:
        new: The incoming copies.
        old: The stored rows beside them, null where there is none.
        known: Whether there is one.
        context: Of the run.
    """
    if context.newest_whole_at is None or context.live_at is not None:
        return pa.array([True] * len(new.ids), pa.bool_())
    is_listed = pc.greater_equal(new.observed, pa.scalar(context.newest_whole_at, INSTANT))
    if context.complete_list is not None:
        return pc.or_(is_listed, pc.equal(new.responses, context.complete_list))
    # A response older than the newest complete list does not show whether that list has the job.
    return pc.or_(is_listed, pc.and_(known, pc.fill_null(old.column("present"), False)))


def _may_not_be_missing(rows: pa.Table, context: RunContext, quarantined_ids: AbstractSet[str]) -> pa.Array:
    if not context.may_mark_missing or context.complete_list is None:
        return pa.array([True] * rows.num_rows, pa.bool_())
    return pc.is_in(rows.column("job_id"), value_set=pa.array(sorted(quarantined_ids), pa.string()))


def _with_column(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    at = rows.schema.get_field_index(name)
    return rows.set_column(at, rows.schema.field(at), values)
