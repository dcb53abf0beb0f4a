"""Formats numbers, dates and names for people: dollars, counts, durations, percentages, times, one-line labels.

Money comes as exact decimals and is never a float here. The script of the HTML report formats the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from math import floor
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from decimal import Decimal

MAX_TEXT_LENGTH: Final = 300  # characters of a text; the tables hold all of them
MASK: Final = "***"  # stands in place of a secret
MISSING: Final = "\u2013"  # stands in place of a missing number or time
UNKNOWN: Final = "unknown"  # stands in place of a missing name


def format_usd(usd: Decimal | None) -> str:
    """Dollars to the cent, `$1,234.56`; an amount below one cent is `< $0.01`, not zero."""
    from decimal import ROUND_HALF_UP, Decimal

    if usd is None:
        return MISSING
    cent = Decimal("0.01")
    if 0 < usd < cent:
        return "< $0.01"
    return f"${usd.quantize(cent, ROUND_HALF_UP):,}"


def exact_number(number: Decimal | None) -> str:
    """A decimal with all its digits and no trailing zeros: `1234.5678`."""
    if number is None:
        return ""
    digits = format(number, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def format_count(number: int | None) -> str:
    """A whole number, `1,234`."""
    return MISSING if number is None else f"{number:,}"


def axis_number(number: Decimal | float) -> str:
    """A number at a tick of an axis, such as `2.5M`; a float to six digits."""
    from decimal import Decimal

    value = Decimal(f"{number:.6g}") if isinstance(number, float) else Decimal(number)
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{exact_number(value / size)}{unit}"
    return exact_number(value)


def rounded_count(number: int) -> str:
    """A count to three digits, `13.9 B`; below a million all digits."""
    from decimal import Decimal

    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M")):
        if number >= size:
            return f"{Decimal(number) / size:.{max(0, 3 - len(str(number // size)))}f} {unit}"
    return f"{number:,}"


def format_duration(seconds: float | None) -> str:
    """A duration in at most two units: `1 h 12 min`."""
    if seconds is None:
        return MISSING
    if seconds < 10:  # only here a tenth matters
        tenths = floor(seconds * 10 + 0.5)
        return f"{tenths // 10}.{tenths % 10} s"
    whole = floor(seconds + 0.5)
    for size, unit, below, smaller in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size:,} {unit} {rest} {smaller}" if rest else f"{whole // size:,} {unit}"
    return f"{whole} s"


def plain_number(value: float) -> str:
    """A real number to the thousandth, without an exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def format_percent(share: float | None) -> str:
    """A share of one as percent, `93.4 %`."""
    return MISSING if share is None else f"{share * 100:.1f} %"


def format_minute(timestamp: int | None) -> str:
    """Seconds since 1970 as `2026-07-02 08:10` (UTC)."""
    return MISSING if timestamp is None else iso_timestamp(timestamp)[:16].replace("T", " ")


def iso_timestamp(timestamp: int) -> str:
    """Seconds since 1970 as ISO 8601, `2026-07-02T08:10:14Z`."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def shorten(text: str, max_length: int = MAX_TEXT_LENGTH) -> str:
    """The text, or its beginning and end with `…` in between: names differ at their ends."""
    half = max_length // 2
    return text if len(text) <= max_length else f"{text[: half - 1]}\u2026{text[-half:]}"


def display_name(name: object, max_length: int = 48) -> str:
    """A name on one line, shortened in the middle; `UNKNOWN` for anything that is not text, such as None or NaN."""
    if not isinstance(name, str):
        return UNKNOWN
    line = "".join(c if c.isprintable() else " " for c in name).strip() or repr(name)
    return shorten(line, max_length)


def escape_unprintable(text: str) -> str:
    """The text on one line, with control and direction characters escaped: remote text cannot move the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def html_table(title: str, head: Iterable[str], rows: Iterable[Iterable[object]], notes: Iterable[str] = ()) -> str:
    """A small table as HTML for notebooks; every text is escaped, whole numbers have separators."""
    from html import escape

    def line(cells: Iterable[object], tag: str) -> str:
        texts = (f"{cell:,}" if type(cell) is int else str(cell) for cell in cells)
        return f"<tr>{''.join(f'<{tag}>{escape(text)}</{tag}>' for text in texts)}</tr>"

    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    body = "".join(line(row, "td") for row in rows)
    return f"<p>{escape(title)}</p><table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>{below}"


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Advice for a name that is unknown: the known one that is nearest, or `otherwise` where none is near."""
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def pluralize(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 job`, `2 keys`, `1,234 anomalies`; `plural` where it is not `-s` or `-ies`."""
    if number == 1:
        return f"{number:,} {noun}"
    ends_in_ies = noun[-1] == "y" and noun[-2] not in "aeiou"
    return f"{number:,} {plural or (f'{noun[:-1]}ies' if ends_in_ies else f'{noun}s')}"


def format_bytes(count: int) -> str:
    """A number of bytes, `1.2 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 999.95:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
