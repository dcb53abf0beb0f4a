"""The sections about time, outcomes and the data itself. Knows the analyses and how to show what they say."""

from __future__ import annotations

from typing import Any

from ftetl import analysis, formatting
from ftetl.html_report import charts
from ftetl.html_report.charts import Bar
from ftetl.html_report.components import lasting, number, section, table, usd
from ftetl.html_report.headline import MOST, plain
from ftetl.html_report.markup import Markup, tag
from ftetl.snapshot.snapshot import Tables

_REASONS = 20


def durations(snapshot: Tables) -> Markup:
    """How long jobs were in each stage, and when the running ones should be through theirs."""
    found = plain(analysis.stage_times(snapshot))
    if not found:
        parts = [tag("p", "No events tell of a stage.")]
    else:
        known = [row for row in found if row["jobs"]]
        bars = [
            Bar(_stage(row["stage"]), row["median_seconds"], formatting.format_duration(row["median_seconds"]))
            for row in known
        ]
        rows = [_stage_row(row) for row in found]
        told = "Median time in each stage; the numbers are in the table below."
        heads = ("Stage", "Jobs", "not known", "Median", "90th percentile", "Longest", "Total")
        about = "How long a job was in a stage, all its stays added up; from the events. The bars show the median."
        parts = [
            tag("p", about, class_="quiet"),
            charts.below_each_other(bars, name="stages-chart", title="Median time by stage", told=told),
            table("Time by stage, in the order of the stages", heads, rows),
        ]
    return section("durations", "Durations by stage", *parts, *_estimates(snapshot))


def _stage(name: str) -> str:
    return {"uploading_to_hf": "Uploading to Hugging Face"}.get(name, name.capitalize())


def _stage_row(row: dict[str, Any]) -> tuple[Any, ...]:
    times = (lasting(row[f"{name}_seconds"]) for name in ("median", "p90", "longest", "total"))
    return (_stage(row["stage"]), number(row["jobs"]), number(row["unknown"]), *times)


def _estimates(snapshot: Tables) -> list[Markup]:
    found = plain(analysis.estimates(snapshot))
    past = sorted(abs(row["error_seconds"]) for row in found if row["error_seconds"] is not None)
    ahead = [r for r in found if r["ended_at"] is None and r["stage"] is not None and r["estimated_end"] is not None]
    ahead.sort(key=lambda row: (row["estimated_end"], row["job_id"]))
    parts = []
    if past:
        middle = (past[(len(past) - 1) // 2] + past[len(past) // 2]) / 2
        estimates = formatting.pluralize(len(past), "estimate")
        said = f"Of {estimates} by the service, half were off by {formatting.format_duration(middle)} or less."
        parts.append(tag("p", said, class_="quiet"))
    if ahead:
        rows = [
            (row["job_id"], _stage(row["stage"]), formatting.format_minute(int(row["estimated_end"].timestamp())))
            for row in ahead[:MOST]
        ]
        more = f"; {len(ahead) - MOST:,} more have one" if len(ahead) > MOST else ""
        caption = f"When the service expects running stages to end, UTC{more}"
        parts += [tag("h3", "Under way"), table(caption, ("Job", "Stage", "Expected end"), rows, text=3)]
    return parts


def outcomes(snapshot: Tables) -> Markup:
    """What became of the jobs, why some failed, and what was spent without a result."""
    by_project = plain(analysis.success(snapshot, "project"))
    names = {"completed": "Completed", "error": "Failed: error", "user_error": "Failed: user error"}
    names |= {"cancelled": "Cancelled", "unfinished": "Not finished"}
    lost = {row["status"]: row for row in plain(analysis.waste(snapshot))}
    rows = []
    for key, name in names.items():
        jobs = sum(row[key] for row in by_project)
        spent = [usd(lost[key][f"{what}_usd"]) for what in ("charged", "refunded", "net")] if key in lost else [""] * 3
        rows.append((name, number(jobs), *spent))
    reasons = plain(analysis.failures(snapshot))
    caption = "Jobs by how they ended, and what was charged for those that came to no result"
    heads = ("Outcome", "Jobs", "Charged", "Refunded", "Spent without a result")
    parts = [table(caption, heads, rows), tag("h3", "Why jobs failed")]
    if not reasons:
        return section("failures", "Outcomes and failures", *parts, tag("p", "No job failed."))
    told = [
        (
            formatting.shorten(row["reason"] or "not told"),
            row["status"],
            row["example"],
            number(row["jobs"]),
            usd(row["net_usd"]),
        )
        for row in reasons[:_REASONS]
    ]
    if rest := reasons[_REASONS:]:
        last = (number(sum(row["jobs"] for row in rest)), usd(sum(row["net_usd"] for row in rest)))
        told.append((f"{formatting.pluralize(len(rest), 'other reason')}", "", "", *last))
    heads = ("Reason (# stands for a number)", "Status", "Newest example", "Jobs", "Net")
    parts.append(table("Reasons, the most frequent first", heads, told, text=3))
    return section("failures", "Outcomes and failures", *parts)


def quality(snapshot: Tables) -> Markup:
    """What was put aside, what was odd, and what the API sends that no column reads."""
    odd, unread = plain(analysis.oddities(snapshot)), plain(analysis.unread_keys(snapshot))
    aside = [row for row in odd if row["table"] == "quarantine"]
    noted = [row for row in odd if row["table"] == "anomalies"]
    counts = {
        "quarantine_rows": ("In quarantine", "elements that no table could take, kept with their exact text", aside),
        "anomaly_rows": ("Anomalies", "odd values; each is kept as it was sent", noted),
        "unread_rows": ("Drift", "values under keys that no column reads; they are kept in the column extra", unread),
    }
    rows = [
        (name, meaning, number(sum(row["rows"] for row in found), key))
        for key, (name, meaning, found) in counts.items()
    ]
    parts = [table("What the data is worth", ("What", "Meaning", "Count"), rows, text=2)]
    if odd:
        cells = [_odd(row) for row in _first(odd, {"table": "", "kind": None, "path": None, "jobs": None})]
        heads = ("Kind", "Where", "Path", "Jobs", "Rows")
        parts += [tag("h3", "Quarantine and anomalies"), table("By kind, the most rows first", heads, cells, text=3)]
    if unread:
        keys = [
            (formatting.shorten(row["key"]), row["table"], number(row["rows"])) for row in _first(unread, {"table": ""})
        ]
        parts += [
            tag("h3", "Keys that no column reads"),
            table("The most frequent first", ("Key", "Table", "Rows"), keys, text=2),
        ]
    return section("quality", "Data quality", *parts)


def _odd(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["kind"] or row["key"],
        row["table"],
        formatting.shorten(row["path"] or ""),
        number(row["jobs"]),
        number(row["rows"]),
    )


def _first(rows: list[dict[str, Any]], empty: dict[str, Any]) -> list[dict[str, Any]]:
    """The first rows, and the others as one."""
    if len(rows) <= _REASONS + 1:
        return rows
    rest = rows[_REASONS:]
    return [*rows[:_REASONS], {**empty, "key": f"{len(rest):,} others", "rows": sum(row["rows"] for row in rest)}]
