"""Values that must not be lost because one response has them in a form that cannot be read.

Where such a value is unreadable, the row keeps the one of the job's next older copy in this run, or else the stored
one; the anomaly stays. A plain null is not unreadable: it replaces the stored value, unless the run allows drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import group_ends, one
from ftetl.contract import tables
from ftetl.transform.column_drift import UNREADABLE
from ftetl.transform.decode.decoder import Decoded
from ftetl.transform.flatten.tables import Flat
from ftetl.transform.flatten.terminal_event import clear_while_running

KEYS = ("status", "created_at", "total_price", "refund_amount")  # the API's keys whose last known value is kept

Masks = Mapping[str, pa.Array]  # by key: the rows in which its value is unreadable; without an entry, none


@cache
def columns_of(key: str) -> tuple[str, ...]:
    """The columns of `jobs` that are made from a key; the first of them is null if the value is unreadable."""
    return tuple(c.name for c in tables()["jobs"].columns if c.sources and c.sources[0].keys == (key,))


def unreadable(decoded: Decoded, flat: Flat) -> Masks:
    """By key, the rows of a batch in which its value is unreadable."""
    jobs = flat.jobs
    found: dict[str, set[int]] = {}
    for row, keys in decoded.keys_with_value.items():
        for key in keys.intersection(KEYS):
            # A value of a wrong type has not reached the nested column; an empty text has, and means null.
            if not decoded.jobs.column(key)[row].is_valid:
                found.setdefault(key, set()).add(row)
    masks = {key: pc.is_in(pa.arange(0, jobs.num_rows), pa.array(sorted(rows))) for key, rows in found.items()}
    odd = {(a.path, a.job_id) for a in flat.anomalies if a.path in KEYS and a.kind in UNREADABLE}
    for key in {path for path, _ in odd}:
        ids = pa.array([job_id for path, job_id in odd if path == key], pa.string())
        mask = pc.is_in(jobs.column("job_id"), value_set=ids)
        if decoded.superseded is not None:  # an anomaly is about the winner
            mask = pc.and_(mask, pc.invert(decoded.superseded))
        masks[key] = one(pc.or_(mask, masks[key]) if key in masks else mask)
    return {key: one(pc.and_(mask, pc.is_null(jobs.column(columns_of(key)[0])))) for key, mask in masks.items()}


def fill_from_older(jobs: pa.Table, masks: Masks) -> pa.Table:
    """The rows, each unreadable value replaced by that of the next older copy of its job, the row below."""
    if not masks or not jobs.num_rows:
        return jobs
    is_oldest = group_ends(jobs.column("job_id"))
    for key, mask in masks.items():
        stays = pc.or_(pc.invert(mask), is_oldest)
        places = pc.if_else(stays, pa.arange(0, jobs.num_rows), pa.scalar(None, pa.int64()))
        older = jobs.select(columns_of(key)).take(pc.fill_null_backward(places))
        jobs = _with_columns(jobs, dict(zip(older.column_names, older.columns, strict=True)))
    return _without_ends_of_running(jobs, masks)


def fill_from_stored(jobs: pa.Table, masks: Masks, stored: pa.Table) -> pa.Table:
    """The rows, each value that is still unreadable replaced by the one in the stored row beside it."""
    for key, mask in masks.items():
        missing = pc.and_(mask, pc.is_null(jobs.column(columns_of(key)[0])))
        cells = {name: pc.if_else(missing, stored.column(name), jobs.column(name)) for name in columns_of(key)}
        jobs = _with_columns(jobs, cells)
    return jobs


def fill_from_snapshot(jobs: pa.Table, masks: Masks, snapshot: pa.Table) -> pa.Table:
    """As `fill_from_stored`, from stored rows of which not every one lies beside a row."""
    if not masks or not snapshot.num_rows:
        return jobs
    places = pc.index_in(jobs.column("job_id"), value_set=one(snapshot.column("job_id")))
    return fill_from_stored(jobs, masks, snapshot.take(places))


def without_value(jobs: pa.Table) -> Masks:
    """By key, the rows that have no value, for whatever reason."""
    return {key: pc.is_null(jobs.column(columns_of(key)[0])) for key in KEYS}


def _without_ends_of_running(jobs: pa.Table, masks: Masks) -> pa.Table:
    if "status" not in masks:
        return jobs
    columns: dict[str, Any] = dict(zip(jobs.column_names, jobs.columns, strict=True))
    clear_while_running(columns)
    return pa.table(columns)


def _with_columns(jobs: pa.Table, cells: Mapping[str, pa.ChunkedArray]) -> pa.Table:
    for name, values in cells.items():
        jobs = jobs.set_column(jobs.schema.get_field_index(name), name, values)
    return jobs
