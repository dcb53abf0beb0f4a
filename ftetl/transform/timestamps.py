"""RFC 3339 timestamps as instants: one text, or a column of texts.

A column in the API's usual form is cast by Arrow; any other goes through the parser of single texts, so both agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract.arrow_schema import TYPES

INSTANT = TYPES["datetime"]
GO_ZERO_TIME = "0001-01-01T00:00:00Z"  # stands for none
NEVER = datetime(1, 1, 1, tzinfo=UTC)  # the same instant; before all others

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)


@dataclass(frozen=True)
class ParsedTime:
    """The instant of a text, or none, and the kind of its anomaly, if it has one."""

    instant: datetime | None
    anomaly: str | None = None


def parse_timestamp(text: str) -> ParsedTime:
    """The instant of a text.

    A text without a zone is read as UTC (`naive_time`), second 60 as the last microsecond of the minute
    (`leap_second`), digits beyond the microsecond are cut (`time_too_fine` where they are not 0); what is not an
    RFC 3339 date and time is none (`bad_time`).
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return ParsedTime(None, "bad_time")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, zone = match[7] or "", match[8]
    is_leap = second == 60
    micros = 999_999 if is_leap else int(fraction[:6].ljust(6, "0"))
    try:
        local = datetime(year, month, day, hour, minute, 59 if is_leap else second, micros, tzinfo=_parse_zone(zone))
        instant = local.astimezone(UTC)
    except (ValueError, OverflowError):
        return ParsedTime(None, "bad_time")
    if instant == NEVER:
        return ParsedTime(None)
    if is_leap:
        return ParsedTime(instant, "leap_second")
    if zone is None:
        return ParsedTime(instant, "naive_time")
    return ParsedTime(instant, "time_too_fine" if fraction[6:].strip("0") else None)


def _parse_zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def parse_column(texts: pa.Array) -> tuple[pa.Array, list[tuple[int, str, str]]]:
    """The instants of a column of texts, and its anomalies: (row, kind, text).

    Empty text and Go's zero time are none, as null is, and no anomaly.
    """
    is_none = pc.or_(pc.equal(texts, ""), pc.equal(texts, GO_ZERO_TIME))
    if pc.any(is_none).as_py():
        texts = pc.if_else(is_none, pa.scalar(None, pa.string()), texts)
    if _has_usual_form(texts):
        try:
            instants = pc.cast(texts, INSTANT)
        except pa.ArrowInvalid:
            pass  # a date that does not exist, such as February 30
        else:
            if pc.all(pc.greater(instants, pa.scalar(NEVER, INSTANT)), min_count=0).as_py() is not False:
                return instants, []
    parsed = {text: parse_timestamp(text) for text in pc.unique(texts).to_pylist() if text is not None}
    rows = texts.to_pylist()
    anomalies = [(row, kind, text) for row, text in enumerate(rows) if text and (kind := parsed[text].anomaly)]
    return pa.array([parsed[text].instant if text else None for text in rows], INSTANT), anomalies


def _has_usual_form(texts: pa.Array) -> bool:
    """Whether every text is a date, a time with 0 to 6 digits of a fraction, and `Z`."""
    lengths = pc.binary_length(texts)
    fits = pc.and_(pc.greater_equal(lengths, len("2026-07-02T08:10:14Z")), pc.less_equal(lengths, 27))
    fits = pc.and_(fits, pc.ends_with(texts, "Z"))
    return pc.all(fits, min_count=0).as_py() is not False
