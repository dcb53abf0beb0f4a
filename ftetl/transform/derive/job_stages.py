"""The stages of jobs: where the time went, from the events that open and close a stage.

A job is in one stage at a time, as the API has it: an event that opens a stage, or closes one, ends the stage before.
In Arrow, for all jobs of a piece at once. Knows neither files nor what else is made of events.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import tables
from ftetl.transform import assemble
from ftetl.transform.merge.carry_over import seconds

_OPENED_BY = {
    "job_pending": "queued",
    "job_start": "preparing",
    "training_start": "training",
    "model_compressing": "compressing",
    "model_uploading": "uploading",
    "model_uploading_to_hf": "uploading_to_hf",
}
_RESTART = "job_restarted"
_CLOSING = (
    "early_stopped",
    "training_complete",
    "model_compression_complete",
    "model_upload_complete",
    "model_upload_to_hf_complete",
    "job_complete",
    "job_error",
    "job_user_error",
    "job_stopped",
    _RESTART,
)
TYPES = (*_OPENED_BY, *_CLOSING)  # of the events that matter here

_NAMES = pa.array(_OPENED_BY.values(), pa.string())
_NONE = -1
_AFTER = pa.array([*range(len(_OPENED_BY)), *[_NONE] * len(_CLOSING)], pa.int64())  # by type: the stage it leads to


def stages(events: pa.Table, project: str) -> pa.Table:
    """The stages of all jobs that these events tell of.

    `events` has `job_id`, `created_at` and `kind` (a place in `TYPES`), all events of a job side by side, in order.
    """
    ids, kinds = one(events.column("job_id")), one(events.column("kind"))
    stage = pc.take(_AFTER, kinds)
    first = _first_of_each(ids)
    turns = pc.or_kleene(first, pc.not_equal(stage, _before(stage)))
    run = pc.add(_counted(pc.equal(kinds, TYPES.index(_RESTART)), first), 1)
    at, first, stage, run = (v.filter(turns) for v in (one(events.column("created_at")), first, stage, run))
    is_stage = pc.not_equal(stage, _NONE)
    position = pc.subtract(_counted(is_stage, first), 1)
    # A stage ends at the job's next turn, if there is one.
    until = pc.if_else(_after(first, otherwise=True), pa.scalar(None, at.type), _after(at, otherwise=None))
    found = {
        "job_id": ids.filter(turns),
        "position": position,
        "stage": pc.take(_NAMES, pc.if_else(is_stage, stage, 0)),
        "run": run,
        "started_at": at,
        "ended_at": until,
        "seconds": _lasting(at, until),
    }
    return assemble.of(tables()["stages"], pa.table(found).filter(is_stage), project)


def _lasting(start: pa.Array, end: pa.Array) -> pa.Array:
    return pc.if_else(pc.less(end, start), pa.scalar(None, pa.float64()), seconds(start, end))


def _counted(flags: pa.Array, first: pa.Array) -> pa.Array:
    """By row, how many of its job's rows up to there have the flag."""
    ones = flags.cast(pa.int64())
    total = pc.cumulative_sum(ones)
    before = pc.if_else(first, pc.subtract(total, ones), pa.scalar(None, pa.int64()))
    return pc.subtract(total, pc.fill_null_forward(before))


def _first_of_each(ids: pa.Array) -> pa.Array:
    later = ids.slice(1)
    return pa.concat_arrays([_edge(ids, True), pc.not_equal(later, ids.slice(0, len(later)))])


def _before(values: pa.Array) -> pa.Array:
    """By row the value of the row before; nothing, for the first."""
    return pa.concat_arrays([_edge(values, None, values.type), values.slice(0, max(0, len(values) - 1))])


def _after(values: pa.Array, *, otherwise: bool | None) -> pa.Array:
    return pa.concat_arrays([values.slice(1), _edge(values, otherwise, values.type)])


def _edge(values: pa.Array, value: bool | None, kind: pa.DataType | None = None) -> pa.Array:
    # For the row that has no neighbour, if there is one.
    return pa.array([value] * min(1, len(values)), kind or pa.bool_())
