"""What the section about cost and quality shows: the final losses of finished jobs beside what they cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from ftetl import analysis, formatting
from ftetl.html_report.charts import Point, chart_of_points
from ftetl.html_report.groups import records
from ftetl.snapshot.snapshot import Tables

_MAX_ROWS: Final = 20
_MAX_POINTS: Final = 500


def cost_and_quality(snapshot: Tables) -> dict[str, Any] | None:
    """The finished jobs with a final loss, the newest first; None where no job has one."""
    if not snapshot.arrow("training_metrics", ["job_id"]).num_rows:
        return None
    jobs = [row for row in records(analysis.cost_and_quality(snapshot)) if _has_loss(row)][::-1]
    if not jobs:
        return None
    loss = "eval_loss" if any(row["eval_loss"] is not None for row in jobs) else "train_loss"
    points = [
        Point(row["job_id"], row["net_usd"], Decimal(repr(row[loss])), _about(row, loss))
        for row in jobs
        if row[loss] is not None and row["net_usd"] is not None  # without a price it is not at 0
    ]
    return {
        "loss": {"eval_loss": "evaluation loss", "train_loss": "training loss"}[loss],
        "chart": chart_of_points(points[:_MAX_POINTS], "$") if points else None,
        "unshown": len(jobs) - len(points[:_MAX_POINTS]),
        "jobs": len(jobs),
        "rows": [_cells(row) for row in jobs[:_MAX_ROWS]],
    }


def _has_loss(row: dict[str, Any]) -> bool:
    return row["train_loss"] is not None or row["eval_loss"] is not None


def _about(row: dict[str, Any], loss: str) -> str:
    model = formatting.shorten(row["model"] or formatting.UNKNOWN)
    return f"{model}, {_number(row[loss])} for {formatting.format_usd(row['net_usd'])}"


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    losses = (_number(row[name]) for name in ("train_loss", "eval_loss", "best_eval_loss"))
    return (
        row["job_id"],
        row["model"] or formatting.UNKNOWN,
        row["token_count"],
        row["net_usd"],
        row["steps"],
        *losses,
    )


def _number(loss: float | None) -> str:
    return formatting.MISSING if loss is None else f"{loss:.4g}"
