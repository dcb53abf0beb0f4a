"""The winning copy of each job of a batch, with what the merge compares. Does not depend on what is stored."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one, where
from ftetl.transform.coalesce import Coalesced
from ftetl.transform.flatten.tables import Flat
from ftetl.transform.merge import last_known


@dataclass(frozen=True)
class Incoming:
    """The winning copies of a batch, row by row, and the superseded ones beside them."""

    jobs: pa.Table
    ids: pa.Array
    observed: pa.Array
    state_first_observed: pa.Array  # when a copy of the same state was first observed
    first_observed: pa.Array  # when the earliest copy in this run was observed
    responses: pa.Array  # the number of the response that each came in
    detail: pa.Array  # whether a detail filled the columns that only a detail fills
    detail_is_older: pa.Array  # whether that detail is older than the rest of the row
    events_are_older: pa.Array  # whether the events are those of an older copy
    has_all_events: pa.Array  # whether all events of the job were received; there may be none
    counts: pa.Array  # of events
    detail_updated_at: pa.Array  # `updated_at` of the copy that filled the columns that only a detail fills
    older: pa.Table
    older_observed: pa.Array
    flat: Flat
    is_winner: pa.Array  # by row of the batch
    unreadable: last_known.Masks  # of `jobs`
    older_unreadable: last_known.Masks  # of `older`

    def events(self, taking: pa.Array) -> pa.Table:
        """The events of the rows where `taking` holds, in key order."""
        rows = pc.replace_with_mask(pa.repeat(pa.scalar(value=False), len(self.is_winner)), self.is_winner, one(taking))
        return where(self.flat.events, pc.take(rows, self.flat.parents))


def incoming(batch: Coalesced, flat: Flat) -> Incoming:
    """The winning and the superseded copies of a batch, of which `flat` are the tables."""
    superseded = batch.decoded.superseded
    if superseded is None:
        superseded = pa.repeat(pa.scalar(value=False), flat.jobs.num_rows)
    is_winner = pc.invert(superseded)
    unreadable = last_known.unreadable(batch.decoded, flat)
    rows = last_known.fill_from_older(flat.jobs, unreadable)
    jobs = where(rows, is_winner).combine_chunks()
    detail = where(pc.or_(batch.detail, batch.older_detail), is_winner)
    detail_is_older = where(batch.older_detail, is_winner)
    return Incoming(
        jobs=jobs,
        ids=one(jobs.column("job_id")),
        observed=where(batch.observed, is_winner),
        state_first_observed=where(batch.since, is_winner),
        first_observed=_first_observed(flat.jobs, batch.since, is_winner),
        responses=where(pa.array([item.response for item in batch.decoded.items], pa.int64()), is_winner),
        detail=detail,
        detail_is_older=detail_is_older,
        events_are_older=where(pc.or_(batch.older_detail, batch.older_events), is_winner),
        has_all_events=detail if flat.events_read else pa.repeat(pa.scalar(value=False), len(detail)),
        counts=_counts(flat.parents, is_winner),
        detail_updated_at=_detail_updated_at(
            jobs, detail_is_older, where(flat.jobs, pc.and_(superseded, batch.detail))
        ),
        older=where(rows, superseded),
        older_observed=where(batch.observed, superseded),
        flat=flat,
        is_winner=is_winner,
        unreadable={key: where(mask, is_winner) for key, mask in unreadable.items()},
        older_unreadable={key: where(mask, superseded) for key, mask in unreadable.items()},
    )


def _first_observed(jobs: pa.Table, observed: pa.Array, is_winner: pa.Array) -> pa.Array:
    if pc.all(is_winner).as_py():
        return observed
    ids = jobs.column("job_id")
    earliest = pa.table({"job_id": ids, "at": observed}).group_by("job_id").aggregate([("at", "min")])
    at = pc.index_in(ids.filter(is_winner), value_set=one(earliest.column("job_id")))
    return pc.take(one(earliest.column("at_min")), one(at))


def _counts(parents: pa.Array, is_winner: pa.Array) -> pa.Array:
    counted = pc.value_counts(parents)
    at = pc.index_in(pc.cast(pc.indices_nonzero(is_winner), parents.type), value_set=counted.field("values"))
    return pc.fill_null(pc.take(counted.field("counts"), at), 0)


def _detail_updated_at(jobs: pa.Table, detail_is_older: pa.Array, details: pa.Table) -> pa.Array:
    own = one(jobs.column("updated_at"))
    if not pc.any(detail_is_older).as_py():
        return own
    newest = details.group_by("job_id").aggregate([("updated_at", "max")])
    at = pc.index_in(jobs.column("job_id"), value_set=one(newest.column("job_id")))
    return one(pc.if_else(detail_is_older, pc.take(one(newest.column("updated_at_max")), one(at)), own))
