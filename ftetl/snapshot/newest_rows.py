"""The newest rows of a table, of chosen jobs and columns: what `ftetl show` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.errors import UsageError
from ftetl.formatting import did_you_mean
from ftetl.snapshot.snapshot import Tables

# For each table the column that says when a row is from (None: none does), and those that matter most.
TIME_AND_COLUMNS: Final[dict[str, tuple[str | None, tuple[str, ...]]]] = {
    "jobs": ("created_at", ("created_at", "job_id", "status", "model", "suffix", "token_count", "total_price_usd")),
    "events": ("created_at", ("created_at", "job_id", "type", "level", "message")),
    "focus_costs": (
        "ChargePeriodStart",
        ("ChargePeriodStart", "ResourceId", "ChargeCategory", "x_BaseModel", "BilledCost"),
    ),
    "stages": ("started_at", ("started_at", "job_id", "stage", "run", "seconds")),
    "job_history": ("observed_at", ("observed_at", "job_id", "status", "token_count", "total_price_usd")),
    "quarantine": ("first_seen_at", ("first_seen_at", "rule", "job_id", "source", "position")),
    "anomalies": (None, ("job_id", "path", "kind", "raw", "rows")),
    "files": ("created_at", ("created_at", "file_id", "filename", "bytes", "lines", "present")),
    "billing_usage": ("start_time", ("start_time", "product_name", "quantity", "unit_price", "cost")),
    "training_metrics": ("logged_at", ("logged_at", "job_id", "step", "name", "value")),
    "endpoint_anomalies": (None, ("table_name", "group_id", "path", "kind", "raw", "rows")),
}


@dataclass(frozen=True)
class Selection:
    """Which rows and columns of a table: jobs of this status, of a model with this text in its name, since a time."""

    status: str | None = None
    model: str | None = None
    since: datetime | None = None
    columns: Sequence[str] = ()  # if empty, those that matter most
    limit: int = 20


def newest_rows(snapshot: Tables, table: str, selection: Selection) -> tuple[pa.Table, int]:
    """The newest selected rows, newest first, and how many rows there are without the limit.

    A table whose rows have no time keeps its order.

    Raises:
        UsageError: There is no such table, column or status, or the rows of the table have no time, or no job.
        StorageError: Its file cannot be read, or is damaged.
    """
    time, most_important = TIME_AND_COLUMNS.get(table, (None, ()))
    columns = [*(selection.columns or most_important)]
    job = next((name for name in ("job_id", "ResourceId") if name in _names(table)), None)
    needed = [*columns, *(name for name in (time, job) if name is not None)]
    rows = snapshot.arrow(table, [*dict.fromkeys(needed)])
    if selection.since is not None:
        if time is None:
            raise UsageError("P04", f"the rows of {table} have no time", next="leave out --since")
        rows = rows.filter(
            pc.greater_equal(rows.column(time), pa.scalar(selection.since, rows.schema.field(time).type))
        )
    if selection.status is not None or selection.model is not None:
        if job is None:
            raise UsageError("P04", f"the rows of {table} are not of jobs", next="leave out --status and --model")
        rows = rows.filter(pc.is_in(rows.column(job), value_set=_job_ids(snapshot, selection)))
    if time is not None:
        rows = rows.take(pc.sort_indices(rows, [(time, "descending")]))  # stable; rows without a time are last
    return rows.slice(0, selection.limit).select(columns), rows.num_rows


def _names(table: str) -> tuple[str, ...]:
    return tables()[table].names if table in tables() else ("job_id",)  # an unknown one is refused when it is read


def _job_ids(snapshot: Tables, selection: Selection) -> pa.Array:
    """The jobs of the status and the model."""
    jobs = snapshot.arrow("jobs", ["job_id", "status", "model"])
    if selection.status is not None:
        known = [status for status in pc.unique(jobs.column("status")).to_pylist() if status is not None]
        if selection.status not in known:
            advice = did_you_mean(selection.status, known, f"there are: {', '.join(sorted(known))}")
            raise UsageError("P04", f"no job has the status {selection.status!r}", next=advice)
        jobs = jobs.filter(pc.equal(jobs.column("status"), selection.status))
    if selection.model is not None:
        jobs = jobs.filter(pc.match_substring(jobs.column("model"), selection.model, ignore_case=True))
    return jobs.column("job_id").combine_chunks()
