"""Flattens the nested rows of a batch into the Arrow tables of `jobs` and `events`.

Columns that depend on the run or on stored rows (`project`, `present`, ...) are added by the merge.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import Table, tables
from ftetl.raw.findings import Anomaly
from ftetl.transform.decode.decoder import Decoded
from ftetl.transform.flatten.columns import AnomalyCollector, Rows, flat_column
from ftetl.transform.flatten.terminal_event import clear_while_running, from_terminal_event


@dataclass
class Flat:
    """The flat tables of a batch, and their anomalies."""

    jobs: pa.Table
    events: pa.Table
    parents: pa.Array  # by event: the row of its job
    anomalies: list[Anomaly] = field(default_factory=list)
    events_read: bool = True  # False: the events were not wanted, so a job without any is not known to have none


def flatten(decoded: Decoded, *, with_events: bool = True) -> Flat:
    """The flat tables of a batch; without events, as if none of the jobs had any."""
    anomalies = [anomaly for _, anomaly in decoded.row_anomalies]
    nested = {name: one(decoded.jobs.column(name)) for name in decoded.jobs.column_names}
    count = decoded.jobs.num_rows
    if not with_events:
        key = str(tables()["events"].rows)
        nested[key] = pa.nulls(count, nested[key].type)
        anomalies = [a for a in anomalies if a.path.split(".")[0] != key]
    # Copies that are not the winner have no current row, and so no anomalies.
    silent = decoded.superseded
    extra = _sparse_texts(count, decoded.extra)
    jobs = Rows(nested, nested, nested["id"], extra=extra, silent=silent)
    events, parents, is_null = _event_rows(decoded, nested)
    events.silent = None if silent is None else pc.take(silent, parents)
    path = events.prefix.rstrip(".")
    AnomalyCollector(events, anomalies).add_masked(path, "wrong_type", is_null, pa.nulls(len(is_null)))
    event_columns = flat_columns(tables()["events"], events, anomalies)
    flat_events = pa.table(event_columns)
    terminal = from_terminal_event(flat_events, parents, count)
    job_columns = flat_columns(tables()["jobs"], jobs, anomalies, terminal)
    clear_while_running(job_columns)
    return Flat(pa.table(job_columns), flat_events, parents, anomalies, with_events)


def _event_rows(decoded: Decoded, nested: dict[str, pa.Array]) -> tuple[Rows, pa.Array, pa.Array]:
    """The items of each job's list of events, in order; by event the row of its job, and whether it is null."""
    key = str(tables()["events"].rows)
    lists = nested[key]
    items, parents = pc.list_flatten(lists), pc.list_parent_indices(lists)
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    starts = pc.subtract(pc.cumulative_sum(pc.cast(lengths, pa.int64())), lengths)
    count = len(items)
    ids = pc.take(nested["id"], parents)
    first = starts.to_pylist() if decoded.event_extra else []
    rows = Rows(
        {f.name: pc.struct_field(items, [f.name]) for f in items.type},
        {"id": ids},
        ids,
        prefix=f"{key}.",
        positions=pc.subtract(pa.arange(0, count), pc.take(starts, parents)),
        extra=_sparse_texts(count, {first[row] + at: text for (row, at), text in decoded.event_extra.items()}),
    )
    return rows, parents, pc.is_null(items)


def _sparse_texts(count: int, texts: dict[int, str]) -> pa.Array:
    """An array of `count` texts, from the few rows that have one."""
    if not texts:
        return pa.nulls(count, pa.string())
    return pa.array([texts.get(row) for row in range(count)], pa.string())


def flat_columns(
    table: Table, rows: Rows, anomalies: list[Anomaly], terminal: dict[str, pa.Array] | None = None
) -> dict[str, pa.Array]:
    """The columns of one contract by name, without its computed ones."""
    collector = AnomalyCollector(rows, anomalies)
    columns: dict[str, pa.Array] = dict(terminal or {})
    for column in table.columns:
        if column.read == "position":
            columns[column.name] = rows.positions
        elif column.read == "extra":
            columns[column.name] = rows.extra
        elif column.read not in ("computed", "last_event"):
            columns[column.name] = flat_column(column, rows, collector)
    return {c.name: columns[c.name] for c in table.columns if c.name in columns}
