"""Anomalies that need a comparison with the stored row or with other columns; values are not changed.

An anomaly depends on the row alone: it stays while the row stays, and a run that changes nothing finds the same ones.
A change that `job_history` records (an older state, a status that goes back, a new price) is no anomaly. Columnar but
for the rows that have one. Does not depend on files or responses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.clock import iso
from ftetl.contract import Column, tables
from ftetl.raw.findings import Anomaly

CHANGED = "changed"
_AHEAD = pa.scalar(timedelta(days=1), pa.duration("us"))  # clocks differ; by more than this a time is a mistake

# By job and path: the value that was seen first, where it is not the present one.
FirstValues = Mapping[tuple[str, str], str]


def first_values(anomalies: pa.Table) -> FirstValues:
    """The first values of what has changed since, from the stored anomalies."""
    changed = anomalies.filter(pc.equal(anomalies.column("kind"), CHANGED))
    return {(row["job_id"], row["path"]): row["raw"] for row in changed.to_pylist()}


def find_row_anomalies(rows: pa.Table, old: pa.Table, wins: pa.Array, first: FirstValues) -> Iterator[Anomaly]:
    """The anomalies of merged rows of `jobs`: times that cannot be, and fixed values that changed.

    Args:
        rows: The merged rows.
        old: The stored rows beside them, null where there is none.
        wins: Whether the incoming copy is the newer one; the others have their anomalies already.
        first: Of the stored anomalies.
    """
    for column in tables()["jobs"].columns:
        if column.type == "datetime" and column.read == "value":
            yield from _time_anomalies(column, rows, wins)
        if column.fixed and column.name in old.column_names:
            yield from _changed(column, rows, old, wins, first)


def fewer_events(ids: pa.Array, received: pa.Array, stored: pa.Array, mask: pa.Array) -> Iterator[Anomaly]:
    """An anomaly for each job where the mask is true: fewer events were received than are stored."""
    for row in pc.indices_nonzero(mask).to_pylist():
        counts = f'{{"received":{received[row].as_py()},"stored":{stored[row].as_py()}}}'
        yield Anomaly(ids[row].as_py(), "events", "fewer_events", counts)


def _time_anomalies(column: Column, rows: pa.Table, wins: pa.Array) -> Iterator[Anomaly]:
    values = rows.column(column.name)
    if column.after is not None:
        is_before = pc.less(values, rows.column(column.after))
        yield from _anomalies_of_rows(column, "time_order", rows, _row_numbers(is_before, wins))
    # Not beside the moment of this run: the same row would have an anomaly today and none tomorrow.
    is_ahead = pc.greater(values, pc.add(rows.column("last_changed_at"), _AHEAD))
    yield from _anomalies_of_rows(column, "in_future", rows, _row_numbers(is_ahead, wins))


def _changed(column: Column, rows: pa.Table, old: pa.Table, wins: pa.Array, first: FirstValues) -> Iterator[Anomaly]:
    values, stored, ids = rows.column(column.name), old.column(column.name), rows.column("job_id")
    path = str(column.sources[0])
    known = pa.array([job_id for job_id, changed in first if changed == path], pa.string())
    differs = pc.and_(pc.is_valid(stored), pc.invert(pc.fill_null(pc.equal(values, stored), False)))
    for row in _row_numbers(pc.or_(differs, pc.is_in(ids, value_set=known)), wins):
        job_id = ids[row].as_py()
        before = first.get((job_id, path)) or _text(stored[row].as_py())
        if before != _text(values[row].as_py()):
            yield Anomaly(job_id, path, CHANGED, before)


def _row_numbers(mask: pa.ChunkedArray, wins: pa.Array) -> list[int]:
    return list(pc.indices_nonzero(pc.and_(pc.fill_null(mask, False), wins)).to_pylist())


def _anomalies_of_rows(column: Column, kind: str, rows: pa.Table, numbers: Iterable[int]) -> Iterator[Anomaly]:
    values, ids = rows.column(column.name), rows.column("job_id")
    for row in numbers:
        yield Anomaly(ids[row].as_py(), str(column.sources[0]), kind, _text(values[row].as_py()))


def _text(value: Any) -> str:
    return json.dumps(iso(value) if isinstance(value, datetime) else value, ensure_ascii=False)
