"""Times of the wire as instants: RFC 3339, for one text and for a column of texts.

The column takes the usual form in Arrow's kernels and gives only what is left to the single-text reader, so both
mean the same. Knows no tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.compute as pc

INSTANT = pa.timestamp("us", "UTC")
ZERO = "0001-01-01T00:00:00Z"  # Go's zero time: none
_ZERO = datetime(1, 1, 1, tzinfo=UTC)

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)


@dataclass(frozen=True)
class Reading:
    """What a text says: an instant or none, and what is odd about it in the words of the anomalies."""

    instant: datetime | None
    kind: str | None = None


def read(text: str) -> Reading:
    """The instant that a text names.

    A text without a zone is read as UTC (`naive_time`), second 60 as the last microsecond of the minute
    (`leap_second`), digits beyond the microsecond are cut (`time_too_fine` where they are not 0); what is no RFC 3339
    date and time is none (`bad_time`).
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return Reading(None, "bad_time")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, zone = match[7] or "", match[8]
    leap = second == 60
    micros = 999_999 if leap else int(fraction[:6].ljust(6, "0"))
    try:
        local = datetime(year, month, day, hour, minute, 59 if leap else second, micros, tzinfo=_zone(zone))
        instant = local.astimezone(UTC)
    except (ValueError, OverflowError):
        return Reading(None, "bad_time")
    if instant == _ZERO:
        return Reading(None)
    if leap:
        return Reading(instant, "leap_second")
    if zone is None:
        return Reading(instant, "naive_time")
    return Reading(instant, "time_too_fine" if fraction[6:].strip("0") else None)


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def column(texts: pa.Array) -> tuple[pa.Array, list[tuple[int, str, str]]]:
    """The instants of a column of texts, and what was odd: (row, kind, text).

    Empty text and Go's zero time are none, as null is, and not odd.
    """
    none = pc.or_(pc.equal(texts, ""), pc.equal(texts, ZERO))
    if pc.any(none).as_py():
        texts = pc.if_else(none, pa.scalar(None, pa.string()), texts)
    if _usual(texts):
        try:
            instants = pc.cast(texts, INSTANT)
        except pa.ArrowInvalid:
            pass  # a date that does not exist, such as February 30
        else:
            if pc.all(pc.greater(instants, pa.scalar(_ZERO, INSTANT)), min_count=0).as_py() is not False:
                return instants, []
    readings = {text: read(text) for text in pc.unique(texts).to_pylist() if text is not None}
    rows = texts.to_pylist()
    odd = [(row, kind, text) for row, text in enumerate(rows) if text is not None and (kind := readings[text].kind)]
    return pa.array([None if text is None else readings[text].instant for text in rows], INSTANT), odd


def _usual(texts: pa.Array) -> bool:
    """Whether every text has the wire's own form: a date, 0 to 6 digits of a fraction, and `Z`."""
    lengths = pc.binary_length(texts)
    fits = pc.and_(pc.greater_equal(lengths, len("2026-07-02T08:10:14Z")), pc.less_equal(lengths, 27))
    fits = pc.and_(fits, pc.ends_with(texts, "Z"))
    return pc.all(fits, min_count=0).as_py() is not False
