"""The Jinja environment of the page: every text that a template prints is escaped."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ftetl import formatting

_CENT = Decimal("0.01")


@cache
def environment() -> Environment:
    """The templates; HTML is escaped, control and direction characters are written out, unknown names are errors."""
    env = Environment(
        loader=PackageLoader("ftetl.html_report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals["formatting"] = formatting
    env.filters["figure"] = figure
    env.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return env


def figure(value: object) -> tuple[str, str | None, str | None]:
    """How a value is shown: its text, the exact value, and a title where an amount has more digits than its text.

    Decimals are US dollars, floats are seconds, ints are counts, None is missing; text is shortened.
    """
    if value is None:
        return formatting.MISSING, None, None
    if isinstance(value, Decimal):
        exact = formatting.exact_number(value)
        title = None if Decimal(exact) == value.quantize(_CENT) else f"${exact}"
        return formatting.format_usd(value), exact, title
    if isinstance(value, float):
        return formatting.format_duration(value), f"{value:.6f}".rstrip("0").rstrip("."), None
    if isinstance(value, int):
        return formatting.format_count(value), str(value), None
    return value if isinstance(value, Markup) else formatting.shorten(str(value)), None, None


def _printable(value: object) -> str:
    return value if isinstance(value, Markup) else formatting.escape_unprintable(str(value))
