"""What is odd about a row only beside another one, or beside its own other cells: noted, and changed in nothing.

Each doubt is true of a row as it stands, so it stays while the row stays, and a run that changes nothing finds the same
ones. What `job_history` tells already (an older state, a status that goes back, a new price) is none. Columnar but for
the rows that are odd. Knows neither files nor answers.
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

First = Mapping[tuple[str, str], str]  # by job and path: the value that was seen first, where it is not the present one


def firsts(anomalies: pa.Table) -> First:
    """The first values of what has changed since, from the stored anomalies."""
    mine = anomalies.filter(pc.equal(anomalies.column("kind"), CHANGED))
    return {(row["job_id"], row["path"]): row["raw"] for row in mine.to_pylist()}


def find_row_anomalies(found: pa.Table, old: pa.Table, wins: pa.Array, first: First) -> Iterator[Anomaly]:
    """The doubts about the next rows of jobs whose copy `wins`; `old` are the stored ones beside them, if any."""
    for column in tables()["jobs"].columns:
        if column.type == "datetime" and column.read == "value":
            yield from _at_odd_times(column, found, wins)
        if column.fixed and column.name in old.column_names:
            yield from _changed(column, found, old, wins, first)


def fewer_events(ids: pa.Array, received: pa.Array, stored: pa.Array, mask: pa.Array) -> Iterator[Anomaly]:
    """Of each job where the mask holds: that fewer events came than were known."""
    for row in pc.indices_nonzero(mask).to_pylist():
        counts = f'{{"received":{received[row].as_py()},"stored":{stored[row].as_py()}}}'
        yield Anomaly(ids[row].as_py(), "events", "fewer_events", counts)


def _at_odd_times(column: Column, found: pa.Table, wins: pa.Array) -> Iterator[Anomaly]:
    values = found.column(column.name)
    if column.after is not None:
        before = pc.less(values, found.column(column.after))
        yield from _noted(column, "time_order", found, _rows(before, wins))
    # Not beside the moment of this run: the same row would be odd today and sound tomorrow.
    ahead = pc.greater(values, pc.add(found.column("last_changed_at"), _AHEAD))
    yield from _noted(column, "in_future", found, _rows(ahead, wins))


def _changed(column: Column, found: pa.Table, old: pa.Table, wins: pa.Array, first: First) -> Iterator[Anomaly]:
    values, stored, ids = found.column(column.name), old.column(column.name), found.column("job_id")
    path = str(column.sources[0])
    known = pa.array([job_id for job_id, changed in first if changed == path], pa.string())
    moved = pc.and_(pc.is_valid(stored), pc.invert(pc.fill_null(pc.equal(values, stored), False)))
    for row in _rows(pc.or_(moved, pc.is_in(ids, value_set=known)), wins):
        job_id = ids[row].as_py()
        was = first.get((job_id, path)) or _text(stored[row].as_py())
        if was != _text(values[row].as_py()):
            yield Anomaly(job_id, path, CHANGED, was)


def _rows(odd: pa.ChunkedArray, wins: pa.Array) -> list[int]:
    return list(pc.indices_nonzero(pc.and_(pc.fill_null(odd, False), wins)).to_pylist())


def _noted(column: Column, kind: str, found: pa.Table, rows: Iterable[int]) -> Iterator[Anomaly]:
    values, ids = found.column(column.name), found.column("job_id")
    for row in rows:
        yield Anomaly(ids[row].as_py(), str(column.sources[0]), kind, _text(values[row].as_py()))


def _text(value: Any) -> str:
    return json.dumps(iso(value) if isinstance(value, datetime) else value, ensure_ascii=False)
