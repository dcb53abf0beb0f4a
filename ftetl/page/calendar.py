"""The months of a chart: every one from the first to the last, so that a gap is seen as one; years where it is long.

Knows dates and groups, and no drawing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from ftetl.page.figures import Group, together

MOST: Final = 120  # bars that can be told from each other


def slots(months: list[Group]) -> tuple[str, list[Group]]:
    """What a bar stands for (`month` or `year`), and the groups by it, with text as label.

    `months` are in order, each with the first day of its month as label; one without a label is left out. Where even
    the years are too many, those without a job are left out.
    """
    dated = [group for group in months if group.label is not None]
    if not dated:
        return "month", []
    by_month = {_month(g.label): together(_month(g.label), [g]) for g in dated}
    first, last = dated[0].label, dated[-1].label
    if (last.year - first.year) * 12 + last.month - first.month < MOST:
        return "month", [by_month.get(label, Group(label)) for label in _months(first, last)]
    years: dict[str, list[Group]] = {}
    if last.year - first.year < MOST:
        years = {f"{year:04d}": [] for year in range(first.year, last.year + 1)}
    for group in dated:
        years.setdefault(f"{group.label.year:04d}", []).append(group)
    return "year", [together(label, found) for label, found in years.items()]


def _month(day: date) -> str:
    return day.isoformat()[:7]


def _months(first: date, last: date) -> Iterator[str]:
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        yield f"{number // 12:04d}-{number % 12 + 1:02d}"
