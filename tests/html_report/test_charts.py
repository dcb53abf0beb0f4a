"""Bars are as long as their numbers say."""

from __future__ import annotations

import itertools
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.analysis.months import MAX_PERIODS
from ftetl.html_report.charts import Bar, Chart, chart_by_name, chart_over_time
from ftetl.html_report.groups import MAX_GROUPS, Group, group_by_period, sum_groups, top_groups
from ftetl.html_report.templates import environment
from tests.html_report.conftest import Node, read

D = Decimal


def drawn(macro: str, chart: Chart, title: str = "T", description: str = "D") -> Node:
    """The SVG of a chart, as a tree."""
    return read(getattr(environment().get_template("charts.html").module, macro)("c", title, description, chart))


def bars(*values: int) -> list[Bar]:
    return [Bar(f"b{n}", value, str(value)) for n, value in enumerate(values)]


def test_bars_below_each_other_are_shares_of_the_longest() -> None:
    svg = drawn("by_name", chart_by_name(bars(200, 50, 0)))
    widths = [r.attributes["width"] for r in svg.all("rect") if r.attributes["class"] == "bar"]
    assert widths == ["100.000%", "25.000%", "0.000%"]


def test_bars_in_time_are_measured_against_a_round_number() -> None:
    svg = drawn("over_time", chart_over_time(bars(300, 150, 0), "$"))
    heights = [r.attributes["height"] for r in svg.all("rect") if r.attributes["class"] == "bar"]
    assert [D(str(height)) / 180 for height in heights] == [D("0.75"), D("0.375"), 0]
    assert [t.text for t in svg.all("text")][:2] == ["$200", "$400"]


@pytest.mark.parametrize("values", [(), (0,), (0, 0)])
def test_a_chart_without_values_can_be_drawn(values: tuple[int, ...]) -> None:
    for macro, chart in (("over_time", chart_over_time), ("by_name", chart_by_name)):
        assert len(drawn(macro, chart(bars(*values))).all("g")) == len(values)


def test_a_chart_says_what_it_is() -> None:
    (svg,) = drawn("over_time", chart_over_time(bars(1)), "Spend <1>", "By month").all("svg")
    assert svg.attributes["role"] == "img"
    assert svg.one("id", str(svg.attributes["aria-labelledby"])).text == "Spend <1>"
    assert svg.one("id", str(svg.attributes["aria-describedby"])).text == "By month"


MONEY = st.decimals(0, 10**9, places=9)


@given(st.lists(st.tuples(MONEY, st.integers(0, 10**12)), max_size=40))
def test_the_groups_that_are_shown_have_the_sums_of_all(amounts: list[tuple[Decimal, int]]) -> None:
    found = [Group(f"m{n}", 1, tokens, usd, usd, usd, usd, 1) for n, (usd, tokens) in enumerate(amounts)]
    shown = top_groups(found)
    assert len(shown) == (len(found) if len(found) <= MAX_GROUPS + 1 else MAX_GROUPS + 1)
    assert sum_groups(None, shown) == sum_groups(None, found)


def test_all_others_are_counted() -> None:
    assert top_groups([Group(str(n)) for n in range(MAX_GROUPS + 5)])[-1].label == "5 others"


@given(st.lists(st.dates(date(1970, 1, 1), date(2300, 1, 1)), min_size=1, max_size=30, unique=True))
def test_no_month_is_lost_and_a_gap_is_seen(days: list[date]) -> None:
    months = sorted({day.replace(day=1) for day in days})
    unit, slots = group_by_period([*(Group(month, 1) for month in months), Group(None, 7)])
    assert sum(slot.jobs for slot in slots) == len(months)
    assert len(slots) <= max(MAX_PERIODS, len(months))
    assert all(a.label < b.label for a, b in itertools.pairwise(slots))
    if unit == "month":
        first, last = months[0], months[-1]
        assert len(slots) == (last.year - first.year) * 12 + last.month - first.month + 1


def test_a_group_without_tokens_has_no_rate() -> None:
    assert Group("m", charged_with_tokens=D(5)).usd_per_million_tokens is None
    assert Group("m", tokens=3, charged_with_tokens=D(1)).usd_per_million_tokens == D("333333.333333333")
