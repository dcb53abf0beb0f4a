"""The nested rows of a batch as the flat Arrow table of each contract.

Which rows a table has, what the events tell about their job, and the odd values counted; what a cell holds is settled
in `cells`, for both roads alike. Knows no table by name but the two; what only the run knows (`project`, what was
stored before) is filled in by `merge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import Column, Table, tables
from ftetl.raw.findings import Anomaly
from ftetl.transform.decode.decoder import Decoded
from ftetl.transform.flatten.columns import Notes, Rows, cells


@dataclass
class Flat:
    """A batch's flat tables, without the columns that only the run knows, and what was odd."""

    jobs: pa.Table
    events: pa.Table
    parents: pa.Array  # by event: the row of its job
    anomalies: list[Anomaly] = field(default_factory=list)
    events_read: bool = True  # False: no events were wanted, so none are known


def flatten(decoded: Decoded) -> Flat:
    """The flat tables of a batch."""
    anomalies = list(decoded.anomalies)
    nested = {name: one(decoded.jobs.column(name)) for name in decoded.jobs.column_names}
    count = decoded.jobs.num_rows
    ids = nested["id"]
    # Copies that are not the winner have no current row, and so no anomalies.
    silent = pa.array([i.older for i in decoded.items], pa.bool_()) if any(i.older for i in decoded.items) else None
    jobs = Rows(nested, nested, count, ids, extra=_sparse(count, decoded.extra), silent=silent)
    events = _event_rows(decoded, nested, ids)
    events.silent = silent if silent is None else pc.take(silent, events.values["__parent"])
    flat_events = _table(tables()["events"], events, anomalies)
    flat_jobs = _table(tables()["jobs"], jobs, anomalies, _LastEvents(flat_events, count, events))
    return Flat(flat_jobs, flat_events, events.values["__parent"], anomalies)


def _event_rows(decoded: Decoded, nested: dict[str, pa.Array], ids: pa.Array) -> Rows:
    """One row per event: the items of each job's list, in order."""
    lists = nested[str(tables()["events"].rows)]
    items = pc.list_flatten(lists)
    parents = pc.list_parent_indices(lists)
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    starts = pc.subtract(pc.cumulative_sum(pc.cast(lengths, pa.int64())), lengths)
    count = len(items)
    places = pc.subtract(pa.arange(0, count), pc.take(starts, parents))
    values = {f.name: pc.struct_field(items, [f.name]) for f in items.type}
    rows = Rows(values, {}, count, pc.take(ids, parents), f"{tables()['events'].rows}.", places)
    rows.jobs = {"id": rows.ids}
    first = starts.to_pylist() if decoded.event_extra else []
    rows.extra = _sparse(count, {first[row] + at: text for (row, at), text in decoded.event_extra.items()})
    rows.values["__parent"] = parents
    rows.values["__null"] = pc.is_null(items)
    return rows


def _sparse(count: int, cells: dict[int, str]) -> pa.Array:
    if not cells:
        return pa.nulls(count, pa.string())
    return pa.array([cells.get(row) for row in range(count)], pa.string())


class _LastEvents:
    """For each job its last event of a terminal type, as the columns that derive from the events ask for it."""

    def __init__(self, events: pa.Table, jobs: int, rows: Rows) -> None:
        columns = [c for c in tables()["jobs"].columns if c.read == "last_event"]
        kinds = sorted({value for c in columns for value in c.values})
        self.events = events
        last = pc.indices_nonzero(pc.is_in(events.column("type"), value_set=pa.array(kinds, pa.string())))
        parents = pc.take(rows.values["__parent"], last)
        # Events stand in order, so of several the last one in the table wins: the one before another job's.
        later = parents.slice(1)
        ends = pa.concat_arrays(
            [pc.not_equal(later, parents.slice(0, len(later))), pa.array([True] * min(1, len(parents)), pa.bool_())]
        )
        at = pc.index_in(pa.arange(0, jobs), value_set=pc.cast(parents.filter(ends), pa.int64()))
        self.index = pc.take(last.filter(ends), at)
        self.kind = pc.take(events.column("type"), self.index)

    def read(self, column: Column) -> pa.Array:
        """The cells of a `last_event` column: the value where the last event is of the column's own types."""
        name = column.sources[0].keys[-1]
        values = pc.take(self.events.column(name), self.index)
        mine = pc.is_in(self.kind, value_set=pa.array(column.values, pa.string()))
        return one(pc.if_else(mine, values, pa.scalar(None, values.type)))


def _table(table: Table, rows: Rows, anomalies: list[Anomaly], last: _LastEvents | None = None) -> pa.Table:
    """The flat table of one contract, without its computed columns."""
    note = Notes(rows, anomalies)
    if "__null" in rows.values and pc.any(rows.values["__null"]).as_py():
        note.mask(rows.prefix.rstrip("."), "wrong_type", rows.values["__null"], lambda _: "null")
    arrays: dict[str, pa.Array] = {}
    for column in table.columns:
        if column.read == "position":
            arrays[column.name] = rows.places
        elif column.read == "extra":
            arrays[column.name] = rows.extra
        elif column.read == "last_event":
            assert last is not None
            arrays[column.name] = last.read(column)
        elif column.read != "computed":
            arrays[column.name] = cells(column, rows, note)
    if last is not None:
        _after_the_end(arrays)
    return pa.table(arrays)


def _after_the_end(arrays: dict[str, pa.Array]) -> None:
    """A job that runs again after a terminal event (it was restarted) has not finished."""
    running = pc.invert(pc.fill_null(arrays["is_terminal"], True))
    for name in ("finished_at", "failure_reason"):
        arrays[name] = pc.if_else(running, pa.scalar(None, arrays[name].type), arrays[name])


def tally(anomalies: Sequence[Anomaly]) -> list[dict[str, Any]]:
    """The odd values as rows of the anomalies, one for each job, path and kind: the first raw value, and how many."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for odd in sorted(anomalies, key=lambda o: (o.job_id, o.path, o.kind, o.place)):
        row = found.setdefault(
            (odd.job_id, odd.path, odd.kind),
            {"job_id": odd.job_id, "path": odd.path, "kind": odd.kind, "raw": odd.raw, "rows": 0},
        )
        row["rows"] += 1
    return list(found.values())
