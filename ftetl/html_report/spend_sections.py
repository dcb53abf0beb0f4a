"""What the sections about money and tokens show: over time, by model, user and project, prices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ftetl import formatting
from ftetl.html_report.charts import Bar, chart_by_name, chart_over_time
from ftetl.html_report.groups import Group, group_by_period, group_charges, sum_groups, top_groups
from ftetl.snapshot.snapshot import Tables


def spend_over_time(snapshot: Tables) -> dict[str, Any]:
    """Spend and tokens by month, or by year; what has no time is in the table and in no bar."""
    months = group_charges(snapshot, "month")
    unit, periods = group_by_period(months)
    undated = [replace(group, label=formatting.UNKNOWN) for group in months if group.label is None]
    spend, tokens = [], []
    for group in periods:
        jobs = formatting.pluralize(group.jobs, "job")
        spend.append(Bar(group.label, group.net, f"{formatting.format_usd(group.net)} net, {jobs}"))
        tokens.append(Bar(group.label, group.tokens, f"{formatting.pluralize(group.tokens, 'token')}, {jobs}"))
    return {
        "unit": unit,
        "rows": [_spend_cells(group) for group in [*periods, *undated] if group.jobs],
        "total": _spend_cells(sum_groups("Total", months)),
        "greatest": max(periods, key=lambda group: group.net, default=Group(formatting.MISSING)),
        "spend_chart": chart_over_time(spend, "$"),
        "token_chart": chart_over_time(tokens),
    }


def spend_by_name(snapshot: Tables, by: str) -> dict[str, Any]:
    """Spend by model, user or project, the greatest first."""
    groups = group_charges(snapshot, by)
    total = sum_groups("Total", groups)
    shown = [replace(g, label=formatting.UNKNOWN) if g.label is None else g for g in top_groups(groups)]
    return {
        "rows": [(*_spend_cells(group), group.usd_per_million_tokens) for group in shown],
        "total": (*_spend_cells(total), total.usd_per_million_tokens),
        "chart": chart_by_name([Bar(g.label, g.net, formatting.format_usd(g.net), _share(g, total)) for g in shown]),
    }


def prices(snapshot: Tables) -> dict[str, Any]:
    """What a million tokens cost, by model and kind of training."""
    groups = [g for g in group_charges(snapshot, ("model", "training_type", "training_method")) if g.tokens > 0]
    groups.sort(key=lambda group: group.charged_with_tokens, reverse=True)
    total = sum_groups("Total", groups)
    return {
        "rows": [_price_cells(group) for group in top_groups(groups)],
        "total": _price_cells(total),
        "minimum_charges": total.minimum_charges,
    }


def _price_cells(group: Group) -> tuple[Any, ...]:
    model, *training = group.label if isinstance(group.label, tuple) else (group.label,)
    names = (model or formatting.UNKNOWN, " ".join(filter(None, training)))
    counts = (group.jobs, group.minimum_charges, group.tokens)
    return (*names, *counts, group.charged_with_tokens, group.usd_per_million_tokens)


def _spend_cells(group: Group) -> tuple[Any, ...]:
    return (group.label, group.jobs, group.tokens, group.charged, group.refunded, group.net)


def _share(group: Group, total: Group) -> str:
    return f"({formatting.format_percent(float(group.net / total.net))})" if total.net else ""
