"""The states of jobs over time: which rows `job_history` gains. Does not depend on files or responses."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import group_ends, group_starts, one
from ftetl.contract import tables
from ftetl.transform import assemble
from ftetl.transform.survivorship import REFUND, STATE


def states(jobs: pa.Table, observed: pa.Array) -> pa.Table:
    """The state of each of these rows of `jobs`, without the project."""
    names = [n for n in tables()["job_history"].names if n not in ("project", "observed_at")]
    return jobs.select(names).append_column("observed_at", observed)


def merged(stored: pa.Table, superseded: list[pa.Table], current: list[pa.Table], project: str) -> pa.Table:
    """The stored history with the states seen in this run, each state once, at its first observation.

    `current` are the states of the copies that became rows, `superseded` those of the others.
    """
    # Of several states of one `updated_at`, observed at one instant, the last one here stays.
    whole = pa.concat_tables([*_named(superseded, project), stored, *_named(current, project)]).combine_chunks()
    order = [("job_id", "ascending"), ("observed_at", "ascending"), ("updated_at", "ascending", "at_start")]
    whole = whole.take(pc.sort_indices(whole, order))
    whole = whole.filter(group_ends(whole.column("job_id"), whole.column("observed_at")))
    return whole.filter(_differs_from_before(whole))


def _named(found: list[pa.Table], project: str) -> list[pa.Table]:
    return [assemble.with_project(tables()["job_history"], t, project) for t in found]


def _differs_from_before(rows: pa.Table) -> pa.Array:
    """By row whether it tells of another state than the row before; a refund that is not known tells of none."""
    ids, refund = one(rows.column("job_id")), one(rows.column(REFUND))
    first = group_starts(ids)
    known = _last_known(refund, first)
    before = pa.concat_arrays([known.slice(0, min(len(known), 1)), known.slice(0, max(len(known) - 1, 0))])
    refunded = pc.and_(pc.is_valid(refund), pc.invert(pc.fill_null(pc.equal(before, refund), False)))
    return pc.or_(group_starts(ids, *(rows.column(name) for name in STATE)), refunded)


def _last_known(values: pa.Array, first: pa.Array) -> pa.Array:
    """By row the last value of its job up to there that is not null. `first`: whether it is the job's first row."""
    places = pa.arange(0, len(values))
    # A job's first row starts anew, so nothing is carried over from the job before.
    carried = pc.if_else(pc.or_(pc.is_valid(values), first), places, pa.scalar(None, pa.int64()))
    return pc.take(values, pc.fill_null_forward(carried))
