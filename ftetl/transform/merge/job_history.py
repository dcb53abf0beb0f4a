"""The states of jobs over time: which rows `job_history` gains. Knows neither files nor answers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.transform import assemble

# What makes a state, besides the refund: that one comes with a detail only, so NULL means unknown, not changed.
STATE = ("status", "updated_at", "total_price_nanousd", "token_count")
REFUND = "refund_amount_nanousd"


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
    whole = whole.filter(_last_of_its_instant(whole))
    return whole.filter(_differs_from_before(whole))


def _named(found: list[pa.Table], project: str) -> list[pa.Table]:
    return [assemble.with_project(tables()["job_history"], t, project) for t in found]


def _last_of_its_instant(found: pa.Table) -> pa.Array:
    later = found.slice(1)
    here = found.slice(0, later.num_rows)
    again = pc.and_(_same(here, later, "job_id"), _same(here, later, "observed_at"))
    return pa.chunked_array([*_chunks(pc.invert(again)), _true(found)])


def _differs_from_before(found: pa.Table) -> pa.Array:
    later = found.slice(1)
    here = found.slice(0, later.num_rows)
    same = _same(here, later, "job_id")
    known = _last_known(found.column(REFUND), same)
    for name in STATE:
        same = pc.and_(same, _same(here, later, name))
    refund = pc.fill_null(pc.equal(known.slice(0, later.num_rows), later.column(REFUND)), False)
    same = pc.and_(same, pc.or_(refund, pc.is_null(later.column(REFUND))))
    return pa.chunked_array([_true(found), *_chunks(pc.invert(same))])


def _last_known(values: pa.ChunkedArray, same_job: pa.ChunkedArray) -> pa.ChunkedArray:
    """By row the last value of its job up to there that is not null."""
    if not len(values):
        return values
    first = pa.chunked_array([pa.array([True]), *_chunks(pc.invert(same_job))])
    places = pc.subtract(pc.cumulative_sum(pa.repeat(1, len(values))), 1)
    # A job's first row starts anew, so nothing is carried over from the job before.
    carried = pc.if_else(pc.or_(pc.is_valid(values), first), places, pa.scalar(None, pa.int64()))
    return pc.take(values, pc.fill_null_forward(carried))


def _true(found: pa.Table) -> pa.Array:
    # For the row that has no neighbour, if there is one.
    return pa.array([True] * min(1, found.num_rows), pa.bool_())


def _same(one: pa.Table, other: pa.Table, name: str) -> pa.Array:
    a, b = one.column(name), other.column(name)
    return pc.coalesce(pc.equal(a, b), pc.and_(pc.is_null(a), pc.is_null(b)))


def _chunks(values: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]
