"""The figures that stand first on the page and in the command's JSON, all taken from the analyses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl import analysis, formatting
from ftetl.html_report.groups import ZERO, group_charges, records, sum_groups
from ftetl.snapshot.snapshot import Tables


def headline(snapshot: Tables) -> dict[str, Any]:
    """The figures of all jobs: amounts as Decimal in USD, times as seconds since 1970, None where there is none."""
    jobs = snapshot.arrow("jobs", ["created_at", "updated_at", "present", "events_state", "last_changed_at"])
    total = sum_groups(None, group_charges(snapshot, "project"))
    ended = analysis.success(snapshot, "project").drop(columns=["project", "success_rate"]).sum().astype(int)
    failed = int(ended.error + ended.user_error)
    times = analysis.job_times(snapshot)
    median = times.total_seconds.dropna().astype("float64").median()
    moments = pc.coalesce(jobs.column("created_at"), jobs.column("updated_at"))
    return {
        "jobs": jobs.num_rows,
        "charged_jobs": total.jobs,
        "unpriced_jobs": jobs.num_rows - total.jobs,  # their price is 0 or not known
        "refund_unknown_jobs": int((~analysis.charges(snapshot).refund_known).sum()),  # charged ones
        "untimed_jobs": moments.null_count,
        "gone_jobs": _count_true(pc.invert(jobs.column("present"))),  # no longer listed
        "eventless_jobs": _count_true(pc.equal(jobs.column("events_state"), "unknown")),
        "completed": int(ended.completed),
        "failed": failed,
        "cancelled": int(ended.cancelled),
        "unfinished": int(ended.unfinished),
        "success_rate": int(ended.completed) / (int(ended.completed) + failed) if ended.completed + failed else None,
        "charged_usd": total.charged,
        "refunded_usd": total.refunded,
        "net_usd": total.net,
        "lost_usd": sum((row["net_usd"] for row in records(analysis.waste(snapshot))), ZERO),  # net, without a result
        "tokens": total.tokens,  # of charged jobs
        "usd_per_million_tokens": total.usd_per_million_tokens,
        "median_seconds": None if pd.isna(median) else float(median),
        "restarts": int(times.restarts.sum()),
        "first": _second(pc.min(moments)),  # creation
        "last": _second(pc.max(moments)),
        "observed": _second(pc.max(jobs.column("last_changed_at"))),
    }


def headline_document(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures as JSON: money as text with all its digits, times as ISO 8601."""
    money = {key: formatting.exact_number(value) for key, value in figures.items() if isinstance(value, Decimal)}
    times = {key: figures[key] for key in ("first", "last", "observed") if figures[key] is not None}
    return figures | money | {key: formatting.iso_timestamp(time) for key, time in times.items()}


def _count_true(flags: pa.ChunkedArray) -> int:
    return pc.sum(flags).as_py() or 0


def _second(moment: pa.Scalar) -> int | None:
    return int(moment.cast(pa.int64()).as_py() // 1_000_000) if moment.is_valid else None
