"""The times of observation that are stored, and what becomes of those that lie in the future.

They come from runs of a machine whose clock was ahead. What a service lists now was observed after all that is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import group_ends, one
from ftetl.snapshot.table_reader import TableReader
from ftetl.transform.timestamps import INSTANT

# By table the columns that tell when something was observed.
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"jobs": ("first_seen_at", "last_changed_at"), "job_history": ("observed_at",), "quarantine": ("first_seen_at",)}
)


def newest(stored: TableReader) -> datetime | None:
    """The newest observation in the tables of a snapshot; None if there is none."""
    times = (newest_of(name, stored.read_table(name, columns)) for name, columns in COLUMNS.items())
    return max((time for time in times if time is not None), default=None)


def newest_of(name: str, rows: pa.Table) -> datetime | None:
    """The newest observation in rows of a table; None if there is none."""
    times = (pc.max(rows.column(column)).as_py() for column in COLUMNS[name])
    return max((time for time in times if time is not None), default=None)


def backdate(name: str, rows: pa.Table, moment: datetime) -> pa.Table:
    """Rows of a table, in key order, with every observation after a moment dated to just before it.

    The states of one job get times a microsecond apart, so that their order stays.
    """
    for column in COLUMNS[name]:
        values = rows.column(column)
        is_later = one(pc.fill_null(pc.greater(values, pa.scalar(moment, INSTANT)), False))
        if not pc.any(is_later).as_py():
            continue
        places = pc.cast(is_later, pa.int64())
        if name == "job_history":
            places = _places_from_the_end(rows.column("job_id"), places)
        times = pc.subtract(pa.scalar(moment, INSTANT), pc.cast(places, pa.duration("us")))
        at = rows.schema.get_field_index(column)
        rows = rows.set_column(at, rows.schema.field(at), pc.if_else(is_later, times, values))
    return rows


def _places_from_the_end(job_ids: pa.ChunkedArray, counted: pa.Array) -> pa.Array:
    """By row how many of the counted rows of its job begin with it; `counted` is 1 for those, 0 for the others."""
    total = pc.cumulative_sum(counted)
    at_end = pc.if_else(group_ends(job_ids), total, pa.scalar(None, pa.int64()))
    return pc.add(pc.subtract(pc.fill_null_backward(at_end), total), counted)
