"""What the sections about durations, outcomes and the data itself show."""

from __future__ import annotations

from typing import Any

from ftetl import analysis, formatting
from ftetl.html_report.charts import Bar, chart_by_name
from ftetl.html_report.groups import MAX_GROUPS, records
from ftetl.snapshot.snapshot import Tables

_MAX_ROWS = 20
_OUTCOMES = {
    "completed": "Completed",
    "error": "Failed: error",
    "user_error": "Failed: user error",
    "cancelled": "Cancelled",
    "unfinished": "Not finished",
}


def durations(snapshot: Tables) -> dict[str, Any]:
    """How long jobs were in each stage, how far off past estimates were, and when running stages should end."""
    stages = [{**row, "stage": _stage_title(row["stage"])} for row in records(analysis.stage_times(snapshot))]
    medians = [(row["stage"], row["median_seconds"]) for row in stages if row["jobs"]]
    estimates = analysis.estimates(snapshot)
    errors = estimates.error_seconds.dropna().astype("float64").abs()
    running = estimates[estimates.ended_at.isna() & estimates.stage.notna() & estimates.estimated_end.notna()]
    return {
        "rows": [tuple(row.values()) for row in stages],
        "chart": chart_by_name([Bar(stage, median, formatting.format_duration(median)) for stage, median in medians]),
        "past_estimates": len(errors),
        "median_error": errors.median(),
        "running": [
            (row["job_id"], _stage_title(row["stage"]), formatting.format_minute(int(row["estimated_end"].timestamp())))
            for row in records(running.sort_values(["estimated_end", "job_id"]).head(MAX_GROUPS))
        ],
        "more_running": max(0, len(running) - MAX_GROUPS),
    }


def outcomes(snapshot: Tables) -> dict[str, Any]:
    """How the jobs ended, why some failed, and what was spent without a result."""
    ended = analysis.success(snapshot, "project")
    lost = {row["status"]: (row["charged_usd"], row["refunded_usd"], row["net_usd"])
            for row in records(analysis.waste(snapshot))}  # fmt: skip
    failures = [
        (row["reason"] or formatting.UNKNOWN, row["status"], row["example"], row["jobs"], row["net_usd"])
        for row in records(analysis.failures(snapshot))
    ]
    return {
        "rows": [(title, int(ended[key].sum()), *lost.get(key, ("", "", ""))) for key, title in _OUTCOMES.items()],
        "failures": _first_rows(failures, "other reasons", summed=2),
    }


def quality(snapshot: Tables) -> dict[str, Any]:
    """What is in quarantine, the anomalies, and the keys that no column reads."""
    kinds, unread = analysis.oddities(snapshot), analysis.unread_keys(snapshot)
    cells = [(row["kind"], row["table"], row["path"] or "", row["jobs"], row["rows"]) for row in records(kinds)]
    return {
        "quarantine_rows": int(kinds["rows"][kinds.table == "quarantine"].sum()),
        "anomaly_rows": int(kinds["rows"][kinds.table != "quarantine"].sum()),
        "unread_rows": int(unread["rows"].sum()),
        "anomalies": _first_rows(cells, "others", summed=1),
        "unread_keys": _first_rows([(row["key"], row["table"], row["rows"]) for row in records(unread)], "others", 1),
    }


def _stage_title(name: str) -> str:
    return {"uploading_to_hf": "Uploading to Hugging Face"}.get(name, name.capitalize())


def _first_rows(rows: list[tuple[Any, ...]], others: str, summed: int) -> list[tuple[Any, ...]]:
    """The first rows, and the others as one whose last cells, so many as are `summed`, are sums."""
    if len(rows) <= _MAX_ROWS + 1:
        return rows
    rest = rows[_MAX_ROWS:]
    sums = [sum(cells) for cells in [*zip(*rest, strict=True)][-summed:]]
    blanks = [""] * (len(rest[0]) - 1 - summed)
    return [*rows[:_MAX_ROWS], (f"{len(rest):,} {others}", *blanks, *sums)]
