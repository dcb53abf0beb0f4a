"""The current rows of a batch, and what is known of each beside its cells. Does not depend on what is stored."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one, where
from ftetl.transform.coalesce import Coalesced
from ftetl.transform.flatten.tables import Flat


@dataclass(frozen=True)
class Incoming:
    """The winning copies of a batch, row by row, and the superseded ones beside them."""

    jobs: pa.Table
    ids: pa.Array
    observed: pa.Array
    since: pa.Array  # when a copy of the same state was first observed
    first: pa.Array  # when the earliest copy in this run was observed
    responses: pa.Array  # the number of the response that each came in
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
        rows = pc.replace_with_mask(pa.repeat(pa.scalar(value=False), len(self.mask)), self.mask, one(taking))
        return where(self.flat.events, pc.take(rows, self.flat.parents))


def incoming(batch: Coalesced, flat: Flat) -> Incoming:
    """What the batch brings, of which `flat` are the tables."""
    superseded = batch.decoded.superseded
    if superseded is None:
        superseded = pa.repeat(pa.scalar(value=False), flat.jobs.num_rows)
    mask = pc.invert(superseded)
    jobs = where(flat.jobs, mask).combine_chunks()
    detail = where(pc.or_(batch.detail, batch.older_detail), mask)
    behind = where(batch.older_detail, mask)
    return Incoming(
        jobs=jobs,
        ids=one(jobs.column("job_id")),
        observed=where(batch.observed, mask),
        since=where(batch.since, mask),
        first=_first(flat.jobs, batch.since, mask),
        responses=where(pa.array([item.response for item in batch.decoded.items], pa.int64()), mask),
        detail=detail,
        behind=behind,
        stale=where(pc.or_(batch.older_detail, batch.older_events), mask),
        complete=detail if flat.events_read else pa.repeat(pa.scalar(value=False), len(detail)),
        counts=_counts(flat.parents, mask),
        told_at=_told_at(jobs, behind, where(flat.jobs, pc.and_(superseded, batch.detail))),
        older=where(flat.jobs, superseded),
        older_observed=where(batch.observed, superseded),
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
