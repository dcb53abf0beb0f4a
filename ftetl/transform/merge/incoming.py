"""A batch's winning rows, and what is known of each beside its cells.

Knows nothing of what is stored, and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one, where
from ftetl.contract.arrow_schema import TYPES
from ftetl.transform.flatten.tables import Flat
from ftetl.transform.raw_job import RawJob

_INSTANT = TYPES["datetime"]


@dataclass(frozen=True)
class Incoming:
    """The winning copies of a batch, row by row, and the older ones beside them."""

    jobs: pa.Table
    ids: pa.Array
    observed: pa.Array
    since: pa.Array  # when a copy of the same state was first observed
    first: pa.Array  # when the earliest copy in this run was observed
    responses: pa.Array  # the number of the answer that each came in
    detail: pa.Array  # whether a detail told the columns that only a detail tells
    behind: pa.Array  # whether that detail is older than the rest of the row
    stale: pa.Array  # whether the events are those of an older copy
    complete: pa.Array  # whether all of the job's events are there, be they none
    counts: pa.Array  # of events
    told_at: pa.Array  # `updated_at` of the copy that told what only a detail tells
    older: pa.Table
    older_observed: pa.Array
    flat: Flat
    mask: pa.Array  # by row of the batch: whether it is a winner

    def events(self, taking: pa.Array) -> pa.Table:
        """The events of the rows where `taking` holds, in key order."""
        rows = pc.replace_with_mask(pa.array([False] * len(self.mask), pa.bool_()), self.mask, one(taking))
        return where(self.flat.events, pc.take(rows, self.flat.parents))


def incoming(items: list[RawJob], flat: Flat, observed_at: tuple[datetime, ...]) -> Incoming:
    """What the batch of these items brings; `observed_at` tells by answer when it was observed."""
    older = pa.array([i.older for i in items], pa.bool_())
    mask = pc.invert(older)
    observed = pa.array([observed_at[i.response] for i in items], _INSTANT)
    since = pa.array([i.since or observed_at[i.response] for i in items], _INSTANT)
    winners = [i for i in items if not i.older]
    jobs = where(flat.jobs, mask).combine_chunks()
    detail = pa.array([i.detail or i.stale for i in winners], pa.bool_())
    behind = pa.array([i.stale and not i.detail for i in winners], pa.bool_())
    from_older = pa.array([i.older and i.detail for i in items], pa.bool_())
    return Incoming(
        jobs=jobs,
        ids=one(jobs.column("job_id")),
        observed=where(observed, mask),
        since=where(since, mask),
        first=_first(flat.jobs, since, mask),
        responses=pa.array([i.response for i in winners], pa.int64()),
        detail=detail,
        behind=behind,
        stale=pa.array([i.stale or i.old_events for i in winners], pa.bool_()),
        complete=detail if flat.events_read else pa.array([False] * len(winners), pa.bool_()),
        counts=_counts(flat.parents, mask),
        told_at=_told_at(jobs, behind, where(flat.jobs, from_older)),
        older=where(flat.jobs, older),
        older_observed=where(observed, older),
        flat=flat,
        mask=mask,
    )


def _first(jobs: pa.Table, observed: pa.Array, mask: pa.Array) -> pa.Array:
    if pc.all(mask).as_py():
        return observed
    ids = jobs.column("job_id")
    earliest = pa.table({"job_id": ids, "at": observed}).group_by("job_id").aggregate([("at", "min")])
    at = pc.index_in(ids.filter(mask), value_set=one(earliest.column("job_id")))
    return pc.take(one(earliest.column("at_min")), one(at))


def _counts(parents: pa.Array, mask: pa.Array) -> pa.Array:
    counted = pc.value_counts(parents)
    at = pc.index_in(pc.cast(pc.indices_nonzero(mask), parents.type), value_set=counted.field("values"))
    return pc.fill_null(pc.take(counted.field("counts"), at), 0)


def _told_at(jobs: pa.Table, behind: pa.Array, details: pa.Table) -> pa.Array:
    own = one(jobs.column("updated_at"))
    if not pc.any(behind).as_py():
        return own
    newest = details.group_by("job_id").aggregate([("updated_at", "max")])
    at = pc.index_in(jobs.column("job_id"), value_set=one(newest.column("job_id")))
    return one(pc.if_else(behind, pc.take(one(newest.column("updated_at_max")), one(at)), own))
