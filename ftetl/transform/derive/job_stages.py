"""The rows of `stages`: how long each job was in each stage, from the events that open and close one.

A job is in one stage at a time: an event that opens or closes a stage ends the one before.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import group_starts, one, seconds_between
from ftetl.contract import tables
from ftetl.transform import assemble

STAGE_OPENED_BY = {
    "job_pending": "queued",
    "job_start": "preparing",
    "training_start": "training",
    "model_compressing": "compressing",
    "model_uploading": "uploading",
    "model_uploading_to_hf": "uploading_to_hf",
}
_RESTART = "job_restarted"
_CLOSING = (
    *("early_stopped", "training_complete", "model_compression_complete", "model_upload_complete"),
    *("model_upload_to_hf_complete", "job_complete", "job_error", "job_user_error", "job_stopped", _RESTART),
)
EVENT_TYPES = (*STAGE_OPENED_BY, *_CLOSING)  # the events that open or close a stage

_STAGES = pa.array(STAGE_OPENED_BY.values(), pa.string())
_NO_STAGE = -1
_STAGE_AFTER = pa.array([*range(len(STAGE_OPENED_BY)), *[_NO_STAGE] * len(_CLOSING)], pa.int64())  # by event type


def stages(events: pa.Table, project: str) -> pa.Table:
    """The rows of `stages` of the jobs of these events.

    Args:
        events: `job_id`, `created_at` and `type_index` (into `EVENT_TYPES`); all events of a job together, in order.
        project: The value of the column `project`.
    """
    ids, types = one(events.column("job_id")), one(events.column("type_index"))
    stage = pc.take(_STAGE_AFTER, types)
    is_first = group_starts(ids)
    is_change = pc.or_kleene(is_first, pc.not_equal(stage, _previous(stage)))
    run = pc.add(_count_within_job(pc.equal(types, EVENT_TYPES.index(_RESTART)), is_first), 1)
    times = one(events.column("created_at"))
    started, is_first, stage, run = (values.filter(is_change) for values in (times, is_first, stage, run))
    is_stage = pc.not_equal(stage, _NO_STAGE)
    is_last = _next(is_first, after_last=True)
    ended = pc.if_else(is_last, pa.scalar(None, started.type), _next(started, after_last=None))
    duration = pc.if_else(pc.less(ended, started), pa.scalar(None, pa.float64()), seconds_between(started, ended))
    columns = {
        "job_id": ids.filter(is_change),
        "position": pc.subtract(_count_within_job(is_stage, is_first), 1),
        "stage": pc.take(_STAGES, pc.if_else(is_stage, stage, 0)),
        "run": run,
        "started_at": started,
        "ended_at": ended,
        "seconds": duration,
    }
    return assemble.with_project(tables()["stages"], pa.table(columns).filter(is_stage), project)


def _count_within_job(mask: pa.Array, is_first: pa.Array) -> pa.Array:
    """By row, how many rows of its job up to and with it are in the mask."""
    ones = mask.cast(pa.int64())
    total = pc.cumulative_sum(ones)
    before_job = pc.if_else(is_first, pc.subtract(total, ones), pa.scalar(None, pa.int64()))
    return pc.subtract(total, pc.fill_null_forward(before_job))


def _previous(values: pa.Array) -> pa.Array:
    """By row the value of the row before; null in the first."""
    return pa.concat_arrays([_edge(values, None, values.type), values.slice(0, max(0, len(values) - 1))])


def _next(values: pa.Array, *, after_last: bool | None) -> pa.Array:
    """By row the value of the row after it, and `after_last` in the last."""
    return pa.concat_arrays([values.slice(1), _edge(values, after_last, values.type)])


def _edge(values: pa.Array, value: bool | None, kind: pa.DataType) -> pa.Array:
    """The value for the row without a neighbour; nothing, if there is no row."""
    return pa.array([value] * min(1, len(values)), kind)
