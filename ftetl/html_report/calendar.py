"""The bars of a chart in time: the groups of each month, or of each year. Knows groups, and no drawing."""

from __future__ import annotations

from ftetl.analysis import months as analysis_months
from ftetl.html_report.headline import Group, together


def slots(months: list[Group]) -> tuple[str, list[Group]]:
    """What a bar stands for (`month` or `year`), and the groups by it, with text as label.

    `months` are in order, each with the first day of its month as label; one without a label is left out. Where even
    the years are too many, those without a job are left out.
    """
    dated = [group for group in months if group.label is not None]
    unit, labels = analysis_months.slots([group.label for group in dated])
    found: dict[str, list[Group]] = {label: [] for label in labels}
    for group in dated:
        found[analysis_months.slot(group.label, unit)].append(group)
    return unit, [together(label, parts) for label, parts in found.items()]
