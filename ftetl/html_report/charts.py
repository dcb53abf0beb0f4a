"""Two kinds of chart, as inline SVG: bars side by side in time, and bars below each other.

Lengths are shares of the width and texts have their own size, so that a chart can be read on a telephone as on paper.
Knows neither money nor jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

from ftetl.formatting import axis_number, shorten
from ftetl.html_report.markup import Markup, join, tag

_HEIGHT: Final = 180  # of the tallest bar, in pixels
_ABOVE, _BELOW = 22, 26
_LABELS: Final = 12  # below the bars, on a wide screen; a narrow one shows every second
_ROW, _THICK = 40, 10
_LONGEST: Final = 46  # characters of a name
_NARROW: Final = 30  # on a narrow screen


@dataclass(frozen=True)
class Bar:
    """A bar: what it stands for, how long it is, the words for that, and more where there is room."""

    label: str
    value: Decimal | int | float
    told: str
    more: str = ""


def in_time(bars: Sequence[Bar], *, name: str, title: str, told: str, unit: str = "") -> Markup:
    """Bars side by side, with round numbers to compare them with; `unit` stands before those."""
    top = _round_above(max((Decimal(bar.value) for bar in bars), default=Decimal(0)))
    lines = [_level(top * part / 2, Decimal(part) / 2, unit) for part in (1, 2)] if top else []
    slot = Decimal(100) / max(1, len(bars))
    step = max(1, -(-len(bars) // _LABELS))
    shapes, labels = [], []
    for place, bar in enumerate(bars):
        height = _pixels(Decimal(bar.value) / top) if top else Decimal(0)
        x, width = slot * place + slot / 8, min(slot * 3 / 4, Decimal(8))
        x += (slot * 3 / 4 - width) / 2
        mark = tag(
            "rect", class_="bar", x=_percent(x), width=_percent(width), y=_ABOVE + _HEIGHT - height, height=height
        )
        over = tag("rect", class_="over", x=_percent(slot * place), width=_percent(slot), y=_ABOVE, height=_HEIGHT)
        shapes.append(tag("g", tag("title", f"{bar.label}: {bar.told}"), mark, over))
        if place % step == 0:
            rare = "tick" if place % (2 * step) == 0 else "tick wide"
            x, anchor = slot * place + slot / 2, "middle"
            if len(bars) > _LABELS / 2 and place in (0, len(bars) - 1):  # at the edges there is no room on both sides
                x, anchor = (slot * place, "start") if place == 0 else (Decimal(100), "end")
            labels.append(
                tag("text", bar.label, class_=rare, x=_percent(x), y=_ABOVE + _HEIGHT + 18, text_anchor=anchor)
            )
    floor = tag("line", class_="floor", x1="0", x2="100%", y1=_ABOVE + _HEIGHT, y2=_ABOVE + _HEIGHT)
    return _drawing(name, title, told, _ABOVE + _HEIGHT + _BELOW, *lines, *shapes, floor, *labels)


def below_each_other(bars: Sequence[Bar], *, name: str, title: str, told: str) -> Markup:
    """Bars below each other, each under its name and its words."""
    longest = max((Decimal(bar.value) for bar in bars), default=Decimal(0))
    shapes = []
    for place, bar in enumerate(bars):
        y = place * _ROW
        share = Decimal(bar.value) / longest * 100 if longest > 0 else Decimal(0)
        track = tag("rect", class_="track", x="0", y=y + 22, width="100%", height=_THICK, rx=2)
        mark = tag("rect", class_="bar", x="0", y=y + 22, width=_percent(share), height=_THICK, rx=2)
        whole = f"{bar.told} {bar.more}".strip()
        texts = [
            tag("text", shorten(bar.label, _LONGEST), class_="wide", x="0", y=y + 15),
            tag("text", whole, class_="value wide", x="100%", y=y + 15, text_anchor="end"),
            tag("text", shorten(bar.label, _NARROW), class_="narrow", x="0", y=y + 15),
            tag("text", bar.told, class_="value narrow", x="100%", y=y + 15, text_anchor="end"),
        ]
        shapes.append(tag("g", tag("title", f"{bar.label}: {whole}"), track, mark, *texts))
    return _drawing(name, title, told, max(1, len(bars)) * _ROW, *shapes)


def _drawing(name: str, title: str, told: str, height: int, *shapes: Markup) -> Markup:
    names = {"title": f"{name}-title", "desc": f"{name}-desc"}
    heads = [tag("title", title, id=names["title"]), tag("desc", told, id=names["desc"])]
    about = {"aria_labelledby": names["title"], "aria_describedby": names["desc"]}
    return tag("svg", *heads, *shapes, class_="chart", role="img", width="100%", height=height, **about)


def _level(value: Decimal, share: Decimal, unit: str) -> Markup:
    y = _ABOVE + _HEIGHT - _pixels(share)
    line = tag("line", class_="level", x1="0", x2="100%", y1=y, y2=y)
    return join(line, tag("text", f"{unit}{axis_number(value)}", class_="tick", x="0", y=y - 5))


def _round_above(value: Decimal) -> Decimal:
    """The next number with one leading digit that halves well: 1, 2, 4, 6, 8 or 10, and zeros."""
    if value <= 0:
        return Decimal(0)
    size = Decimal(1).scaleb(value.adjusted())
    leading = (value / size).to_integral_value(ROUND_CEILING)
    return size * next(step for step in (1, 2, 4, 6, 8, 10) if step >= leading)


def _pixels(share: Decimal) -> Decimal:
    return (share * _HEIGHT).quantize(Decimal("0.1"))


def _percent(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.001')):f}%"
