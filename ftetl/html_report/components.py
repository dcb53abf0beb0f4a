"""What sections are made of: a heading with its text, cards, tables. Knows HTML, and no figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from ftetl import formatting
from ftetl.html_report.markup import Markup, tag


def section(name: str, heading: str, *children: object) -> Markup:
    """A part of the page, with a heading that can be led to."""
    return tag("section", tag("h2", heading, id=name), *children, aria_labelledby=name)


def card(label: str, figure: Markup | str, *about: object) -> Markup:
    """A headline figure, with what it is and what belongs to it."""
    lines = [tag("dd", line, class_="about") for line in about if line]
    return tag("div", tag("dt", label), tag("dd", figure, class_="figure"), *lines)


def usd(amount: Decimal | None, name: str | None = None) -> Markup | str:
    """Dollars for people; all digits are in the element's value, and in its title where they are more."""
    if amount is None:
        return formatting.MISSING
    told, exact = formatting.format_usd(amount), formatting.exact_number(amount)
    more = f"${exact}" if Decimal(exact) != amount.quantize(Decimal("0.01")) else None
    return tag("data", told, value=exact, title=more, data_figure=name)


def number(value: int | None, name: str | None = None) -> Markup | str:
    """A count for people, with the plain number as the element's value."""
    return (
        formatting.MISSING
        if value is None
        else tag("data", formatting.format_count(value), value=value, data_figure=name)
    )


def lasting(seconds: float | None, name: str | None = None) -> Markup | str:
    """A duration for people, with its seconds as the element's value."""
    if seconds is None:
        return formatting.MISSING
    return tag(
        "data", formatting.format_duration(seconds), value=f"{seconds:.6f}".rstrip("0").rstrip("."), data_figure=name
    )


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], *, text: int = 1, total: Sequence[Any] = ()
) -> Markup:
    """A table whose first `text` columns are text and the others numbers; the first names the row."""
    top = tag("tr", *(tag("th", head, scope="col", class_=_side(place, text)) for place, head in enumerate(heads)))
    body = tag("tbody", *(_row(row, text) for row in rows))
    foot = tag("tfoot", _row(total, text)) if total else None
    grid = tag("table", tag("caption", caption), tag("thead", top), body, *([foot] if foot else []), class_="names")
    return scrolled(caption, grid)


def scrolled(name: str, content: Markup) -> Markup:
    """What may be wider than the page, in a frame that the keyboard can move too."""
    return tag("div", content, class_="scroll", role="region", aria_label=name, tabindex="0")


def folded(summary: str, *children: object) -> Markup:
    """What is shown when asked for."""
    return tag("details", tag("summary", summary), *children)


def _row(cells: Sequence[Any], text: int) -> Markup:
    first, *others = cells
    return tag(
        "tr", tag("th", first, scope="row"), *(tag("td", c, class_=_side(n, text)) for n, c in enumerate(others, 1))
    )


def _side(place: int, text: int) -> str | None:
    return None if place < text else "n"
