"""The geometry of bar charts, over time and by name, and of points. `charts.html` draws them as SVG.

Lengths are shares of the width while texts keep their size, so that a chart can be read on a telephone as on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from ftetl.formatting import axis_number, shorten

_HEIGHT: Final = 180  # of the tallest bar, in pixels
_ABOVE, _BELOW = 22, 26
_FLOOR: Final = _ABOVE + _HEIGHT
_MAX_LABELS: Final = 12  # below the bars, on a wide screen; a narrow one shows every second
_ROW_HEIGHT: Final = 40
_MARGIN: Final = 6  # percent of the width, left and right of the points
_WIDE_LABEL, _NARROW_LABEL = 46, 30  # characters of a name, on a wide and on a narrow screen


@dataclass(frozen=True)
class Bar:
    """A bar: what it stands for, how long it is, that as text, and more text where there is room."""

    label: str
    value: Decimal | int | float
    text: str
    more: str = ""


@dataclass(frozen=True)
class Point:
    """A point of a chart: what it stands for, where it lies, and that as text."""

    label: str
    x: Decimal
    y: Decimal
    text: str


@dataclass(frozen=True)
class Chart:
    """What a template draws: each bar as a dict of places and texts."""

    height: int  # in pixels
    bars: list[dict[str, Any]]
    floor: int = _FLOOR  # y of the line below the bars
    levels: Sequence[dict[str, Any]] = ()  # lines to compare the bars or points with
    points: Sequence[dict[str, Any]] = ()
    ticks: Sequence[dict[str, Any]] = ()  # texts below the line, where points lie beside each other


def chart_over_time(bars: Sequence[Bar], unit: str = "") -> Chart:
    """Bars side by side, with round numbers to compare them with; `unit` stands before those."""
    top = _round_above(max((Decimal(bar.value) for bar in bars), default=Decimal(0)))
    slot = Decimal(100) / max(1, len(bars))
    width = min(slot * 3 / 4, Decimal(8))
    step = -(-len(bars) // _MAX_LABELS)
    drawn = []
    for place, bar in enumerate(bars):
        height = _pixels(Decimal(bar.value) / top) if top else Decimal(0)
        shape = {"title": f"{bar.label}: {bar.text}", "height": height, "y": _FLOOR - height, "label": None}
        shape |= {"x": _percent(slot * place + (slot - width) / 2), "width": _percent(width)}
        shape |= {"slot_x": _percent(slot * place), "slot_width": _percent(slot)}
        if place % step == 0:
            shape |= {"label": bar.label, "label_class": "tick" if place % (2 * step) == 0 else "tick wide"}
            shape |= _label_position(place, len(bars), slot)
        drawn.append(shape)
    levels = [
        {"y": _FLOOR - _pixels(share), "text": f"{unit}{axis_number(top * share)}"}
        for share in (Decimal("0.5"), Decimal(1))
        if top
    ]
    return Chart(_FLOOR + _BELOW, drawn, levels=levels)


def chart_by_name(bars: Sequence[Bar]) -> Chart:
    """Bars below each other, each under its name and its text."""
    longest = max((Decimal(bar.value) for bar in bars), default=Decimal(0))
    drawn = []
    for place, bar in enumerate(bars):
        share = Decimal(bar.value) / longest * 100 if longest > 0 else Decimal(0)
        texts = {"text": bar.text, "long_text": f"{bar.text} {bar.more}".strip(), "label": shorten(bar.label)}
        texts |= {"wide_label": shorten(bar.label, _WIDE_LABEL), "narrow_label": shorten(bar.label, _NARROW_LABEL)}
        drawn.append({"y": place * _ROW_HEIGHT, "width": _percent(share), **texts})
    return Chart(max(1, len(bars)) * _ROW_HEIGHT, drawn)


def chart_of_points(points: Sequence[Point], x_unit: str = "") -> Chart:
    """Points between 0 and round numbers above them, upwards and to the right; `x_unit` stands before the latter."""
    right, top = (_round_above(max((p.x, p.y)[axis] for p in points)) or Decimal(1) for axis in (0, 1))
    drawn = [
        {
            "title": f"{shorten(point.label)}: {point.text}",
            "x": _percent(_MARGIN + max(point.x, Decimal(0)) / right * (100 - 2 * _MARGIN)),
            "y": _FLOOR - _pixels(max(point.y, Decimal(0)) / top),
        }
        for point in points
    ]
    shares = (Decimal(0), Decimal("0.5"), Decimal(1))
    ticks = [
        {"x": _percent(_MARGIN + share * (100 - 2 * _MARGIN)), "text": f"{x_unit}{axis_number(right * share)}"}
        for share in shares
    ]
    levels = [{"y": _FLOOR - _pixels(share), "text": axis_number(top * share)} for share in shares[1:]]
    return Chart(_FLOOR + _BELOW, [], levels=levels, points=drawn, ticks=ticks)


def _label_position(place: int, count: int, slot: Decimal) -> dict[str, str]:
    at_an_edge = count > _MAX_LABELS / 2 and place in (0, count - 1)  # where there is no room on both sides
    if not at_an_edge:
        return {"label_x": _percent(slot * place + slot / 2), "anchor": "middle"}
    x, anchor = (slot * place, "start") if place == 0 else (Decimal(100), "end")
    return {"label_x": _percent(x), "anchor": anchor}


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
