"""Numbers as people read them: dollars, counts, durations, shares, times. The script of the page writes them alike.

Money comes as exact decimals and is never a float here. Names come on one line, where there is little room.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from math import floor
from typing import Final

LONGEST: Final = 300  # characters of a text; the tables hold all of them
NOTHING: Final = "\u2013"  # what stands where nothing is known
UNTOLD: Final = "not told"  # a name that is missing
_CENT: Final = Decimal("0.01")


def money(usd: Decimal | None) -> str:
    """Dollars to the cent, `$1,234.56`; what is less than a cent is not shown as nothing."""
    if usd is None:
        return NOTHING
    if 0 < usd < _CENT:
        return "< $0.01"
    return f"${usd.quantize(_CENT, ROUND_HALF_UP):,}"


def exact(usd: Decimal | None) -> str:
    """Dollars with all their digits, as a number: `1234.5678`."""
    if usd is None:
        return ""
    told = format(usd, "f")
    return told.rstrip("0").rstrip(".") if "." in told else told


def count(number: int | None) -> str:
    """A whole number, `1,234`."""
    return NOTHING if number is None else f"{number:,}"


def short(number: Decimal | int) -> str:
    """A round number for an axis: `2.5M`."""
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{exact(Decimal(number) / size)}{unit}"
    return exact(Decimal(number))


def tick(value: float) -> str:
    """A number on an axis that somebody else divides, to six digits: `2.5M`."""
    return short(Decimal(f"{value:.6g}"))


def brief(number: int) -> str:
    """A count at a glance, to three digits: `13.9 B`; all digits where there are few."""
    for size, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M")):
        if number >= size:
            return f"{Decimal(number) / size:.{max(0, 3 - len(str(number // size)))}f} {unit}"
    return f"{number:,}"


def seconds(value: float | None) -> str:
    """A duration, to two units: `1 h 12 min`."""
    if value is None:
        return NOTHING
    if value < 10:  # below it tenths tell something
        tenths = floor(value * 10 + 0.5)
        return f"{tenths // 10}.{tenths % 10} s"
    whole = floor(value + 0.5)
    for size, unit, below, smaller in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size:,} {unit} {rest} {smaller}" if rest else f"{whole // size:,} {unit}"
    return f"{whole} s"


def plain(value: float) -> str:
    """A real number to the thousandth, without an exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def share(part: float | None) -> str:
    """A share of one, `93.4 %`."""
    return NOTHING if part is None else f"{part * 100:.1f} %"


def minute(moment: int | None) -> str:
    """Seconds since 1970 as a time to the minute, UTC."""
    return NOTHING if moment is None else stamp(moment)[:16].replace("T", " ")


def stamp(moment: int) -> str:
    """Seconds since 1970 as a time to the second, as machines read it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def clipped(text: str, most: int = LONGEST) -> str:
    """A text that is not too long; of a longer one the middle is left out, since names differ at their ends."""
    half = most // 2
    return text if len(text) <= most else f"{text[: half - 1]}\u2026{text[-half:]}"


def some(number: int, thing: str, things: str = "") -> str:
    """So many things: `1 job`, `2 keys`, `1,234 anomalies`; `things` is a plural that is neither `-s` nor `-ies`."""
    if number == 1:
        return f"{number:,} {thing}"
    ies = thing[-1] == "y" and thing[-2] not in "aeiou"
    return f"{number:,} {things or (f'{thing[:-1]}ies' if ies else f'{thing}s')}"


def size(count: int) -> str:
    """A number of bytes for people: `1.2 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 999.95:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def name(text: object, room: int = 48) -> str:
    """A name on one line that fits, if it is text; of a long one the middle is left out: names differ at the ends.

    What is no text, such as None and whatever else stands for NULL, is not told.
    """
    if not isinstance(text, str):
        return UNTOLD
    line = "".join(c if c.isprintable() else " " for c in text).strip() or repr(text)
    half = room // 2
    return line if len(line) <= room else f"{line[: half - 1]}\u2026{line[-half:]}"


def shown(text: str) -> str:
    """The text on one line, with control and direction characters escaped: remote text cannot move the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
