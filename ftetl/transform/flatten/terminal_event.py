"""The columns of `jobs` that come from a job's last terminal event: `finished_at` and `failure_reason`."""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import group_ends, one
from ftetl.contract import Column, tables


@cache
def terminal_columns() -> tuple[Column, ...]:
    """The columns that the contract reads from the last terminal event."""
    return tuple(c for c in tables()["jobs"].columns if c.read == "last_event")


def from_terminal_event(events: pa.Table, parents: pa.Array, count: int) -> dict[str, pa.Array]:
    """The terminal columns of `count` jobs by name; `parents` is the row of each event's job, in order."""
    types = sorted({value for column in terminal_columns() for value in column.values})
    terminal = pc.indices_nonzero(pc.is_in(events.column("type"), value_set=pa.array(types, pa.string())))
    jobs = pc.take(parents, terminal)
    is_last = group_ends(jobs)
    place = pc.index_in(pa.arange(0, count), value_set=pc.cast(jobs.filter(is_last), pa.int64()))
    last = pc.take(terminal.filter(is_last), place)
    last_type = pc.take(events.column("type"), last)
    columns = {}
    for column in terminal_columns():
        values = pc.take(events.column(column.sources[0].keys[-1]), last)
        has_type = pc.is_in(last_type, value_set=pa.array(column.values, pa.string()))
        columns[column.name] = one(pc.if_else(has_type, values, pa.scalar(None, values.type)))
    return columns


def clear_while_running(columns: MutableMapping[str, Any]) -> None:
    """Set the terminal columns of `jobs` to null where a job is not terminal: one that was restarted has not ended."""
    is_running = pc.invert(pc.fill_null(columns["is_terminal"], True))
    for column in terminal_columns():
        values = columns[column.name]
        columns[column.name] = pc.if_else(is_running, pa.scalar(None, values.type), values)
