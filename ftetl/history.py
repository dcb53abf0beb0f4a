"""The states of jobs over time: which rows `job_history` gains. Knows neither files nor answers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.schema import schema

# What makes a state, besides the refund: that one comes with a detail only, so NULL means unknown, not changed.
STATE = ("status", "updated_at", "total_price_nanousd", "token_count")
REFUND = "refund_amount_nanousd"


def states(jobs: pa.Table, observed: pa.Array) -> pa.Table:
    """The state of each of these rows of `jobs`, without the project."""
    names = [n for n in tables()["job_history"].names if n not in ("project", "observed_at")]
    return jobs.select(names).append_column("observed_at", observed)


def merged(stored: pa.Table, seen: list[pa.Table], project: str) -> pa.Table:
    """The stored history with the states seen in this run, each state once, at its first observation."""
    wanted = schema(tables()["job_history"])
    rows = [t.append_column("project", pa.repeat(project, t.num_rows)).select(wanted.names).cast(wanted) for t in seen]
    if not rows:
        return stored
    whole = pa.concat_tables([stored, *rows]).combine_chunks()
    # Of two states observed at one instant the winning copy comes last, and stays.
    order = [("job_id", "ascending"), ("observed_at", "ascending"), ("updated_at", "ascending", "at_start")]
    whole = whole.take(pc.sort_indices(whole, order))
    whole = whole.filter(_last_of_its_instant(whole))
    return whole.filter(_differs_from_before(whole))


def _last_of_its_instant(rows: pa.Table) -> pa.Array:
    later = rows.slice(1)
    here = rows.slice(0, later.num_rows)
    again = pc.and_(_same(here, later, "job_id"), _same(here, later, "observed_at"))
    return pa.chunked_array([*_chunks(pc.invert(again)), pa.array([True] * min(1, rows.num_rows))], pa.bool_())


def _differs_from_before(rows: pa.Table) -> pa.Array:
    later = rows.slice(1)
    here = rows.slice(0, later.num_rows)
    same = _same(here, later, "job_id")
    for name in STATE:
        same = pc.and_(same, _same(here, later, name))
    refund = pc.or_(_same(here, later, REFUND), pc.is_null(later.column(REFUND)))
    same = pc.and_(same, refund)
    return pa.chunked_array([pa.array([True] * min(1, rows.num_rows)), *_chunks(pc.invert(same))], pa.bool_())


def _same(one: pa.Table, other: pa.Table, name: str) -> pa.Array:
    a, b = one.column(name), other.column(name)
    return pc.coalesce(pc.equal(a, b), pc.and_(pc.is_null(a), pc.is_null(b)))


def _chunks(values: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return values.chunks if isinstance(values, pa.ChunkedArray) else [values]
