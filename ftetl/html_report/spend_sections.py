"""The sections about money and tokens: over time, by model, by user, prices. Knows the figures and how to show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftetl import formatting
from ftetl.html_report import calendar, charts
from ftetl.html_report.charts import Bar
from ftetl.html_report.components import folded, number, section, table, usd
from ftetl.html_report.headline import Group, groups, together, top
from ftetl.html_report.markup import Markup, tag
from ftetl.snapshot.snapshot import Tables

_HEADS = ("Charged jobs", "Tokens", "Charged", "Refunded", "Net")
_NONE = "not told"


def over_time(snapshot: Tables) -> Markup:
    """Spend and tokens by month."""
    months = groups(snapshot, "month")
    unit, slots = calendar.slots(months)
    if not months:
        return section("time", "Spend over time", tag("p", "No job was charged."))
    whole = together("Total", months)
    named = [*slots, *(together(_NONE, [group]) for group in months if group.label is None)]
    rows = [_spent(group.label, group) for group in named if group.jobs]
    heads = (unit.capitalize(), *_HEADS)
    every = table(f"Spend by {unit} of creation, UTC", heads, rows, total=_spent(whole.label, whole))
    told = f"Net spend of each {unit}; the greatest is {_greatest(slots)}. The numbers are in the table below."
    spent = [
        Bar(g.label, g.net, f"{formatting.format_usd(g.net)} net, {formatting.pluralize(g.jobs, 'job')}") for g in slots
    ]
    read = [
        Bar(g.label, g.tokens, f"{formatting.pluralize(g.tokens, 'token')}, {formatting.pluralize(g.jobs, 'job')}")
        for g in slots
    ]
    also = f"Billed tokens of each {unit}; the numbers are in the table below."
    return section(
        "time",
        "Spend over time",
        tag("p", f"Net spend in USD by the {unit} in which a job was created (UTC).", class_="quiet"),
        charts.in_time(spent, name="spend-chart", title=f"Net spend by {unit}", told=told, unit="$"),
        tag("h3", f"Billed tokens by {unit}"),
        charts.in_time(read, name="tokens-chart", title=f"Billed tokens by {unit}", told=also),
        folded(f"The numbers by {unit}", every),
    )


def by_name(snapshot: Tables, by: str, name: str, thing: str) -> Markup:
    """Spend by model, user or project, the greatest first."""
    found = groups(snapshot, by)
    if not found:
        return section(name, f"Spend by {thing}", tag("p", "No job was charged."))
    shown = [_named(group) for group in top(found)]
    whole = together("Total", found)
    bars = [Bar(g.label, g.net, formatting.format_usd(g.net), _share(g, whole)) for g in shown]
    told = f"Net spend of each {thing}, the greatest first; the numbers are in the table below."
    rows = [(*_spent(g.label, g), usd(g.rate)) for g in shown]
    heads = (thing.capitalize(), *_HEADS, "USD per M tokens")
    total = (*_spent(whole.label, whole), usd(whole.rate))
    return section(
        name,
        f"Spend by {thing}",
        charts.below_each_other(bars, name=f"{name}-chart", title=f"Net spend by {thing}", told=told),
        table(f"Spend by {thing}, the greatest net spend first", heads, rows, total=total),
    )


def prices(snapshot: Tables) -> Markup:
    """What a million tokens came to, by model and kind of training."""
    found = groups(snapshot, ("model", "training_type", "training_method"))
    rated = sorted((g for g in found if g.tokens > 0), key=lambda group: group.rated, reverse=True)
    if not rated:
        return section("prices", "Price per million tokens", tag("p", "No charged job has tokens."))
    minima = sum(group.minimum for group in rated)
    about = "All charges of jobs with billed tokens, divided by those tokens, before refunds. Minimum charges raise it."
    met = (
        f" {formatting.pluralize(minima, 'job')} seem{'s' if minima == 1 else ''} to have met a minimum charge."
        if minima
        else ""
    )
    heads = ("Model", "Training", "Charged jobs", "of them minimum", "Tokens", "Charged", "USD per M tokens")
    whole = together("Total", rated)
    return section(
        "prices",
        "Price per million tokens",
        tag("p", about + met, class_="quiet"),
        table(
            "Effective price by model and training, the greatest charge first",
            heads,
            [_priced(group) for group in top(rated)],
            text=2,
            total=_priced(whole),
        ),
    )


def _priced(group: Group) -> Sequence[Any]:
    model, kind = group.label, ""
    if isinstance(group.label, tuple):
        model, kind = _name(group.label[0]), formatting.shorten(" ".join(filter(None, group.label[1:])))
    counts = (number(group.jobs), number(group.minimum), number(group.tokens))
    return (model, kind, *counts, usd(group.rated), usd(group.rate))


def _spent(label: Any, group: Group) -> Sequence[Any]:
    money = (usd(group.charged), usd(group.refunded), usd(group.net))
    return (label, number(group.jobs), number(group.tokens), *money)


def _named(group: Group) -> Group:
    return together(_name(group.label), [group])


def _name(label: str | None) -> str:
    return _NONE if label is None else formatting.shorten(label)


def _share(group: Group, whole: Group) -> str:
    return f"({formatting.format_percent(float(group.net / whole.net))})" if whole.net else ""


def _greatest(slots: list[Group]) -> str:
    if not slots:
        return formatting.MISSING
    most = max(slots, key=lambda group: group.net)
    return f"{most.label} with {formatting.format_usd(most.net)}"
