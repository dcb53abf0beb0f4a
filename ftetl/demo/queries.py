"""Responses that depend on the query: a page of the bill, and the metrics of a part of a training."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from ftetl.demo.jobs import OBSERVED_AT
from ftetl.demo.metrics import nanoseconds

NOT_ENABLED = "Billing usage is not enabled for this organization."
MOST_WINDOWS = 1000  # of a page of the bill
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class RefusedError(Exception):
    """A request that is refused with this status; the text is the error's message, if it has one."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status


def usage_report(
    billing: Mapping[str, Sequence[Mapping[str, Any]]],
    query: Mapping[str, str],
    organization_id: str,
    page_size: int | None,
) -> dict[str, Any]:
    """The body of `GET /billing/usage`: the windows of a month, one page of them.

    Raises:
        RefusedError: With 400 for a parameter that is not valid, with 403 for another organisation.
    """
    if query.get("organization_id", organization_id) != organization_id:
        raise RefusedError(HTTPStatus.FORBIDDEN)
    month, granularity = query.get("month", f"{OBSERVED_AT:%Y-%m}"), query.get("granularity", "day")
    asked = _integer(query, "limit")
    limit = MOST_WINDOWS if asked is None else asked
    if not _MONTH.fullmatch(month) or granularity not in {"day", "hour"} or not 1 <= limit <= MOST_WINDOWS:
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    windows = [window for window in billing.get(granularity, ()) if str(window.get("date", "")).startswith(month)]
    start = _place(query["after"], month, granularity) if "after" in query else 0
    end = start + min(limit, page_size or limit)
    return {
        "object": "list",
        "organization_id": organization_id,
        "billing_period": month,
        "currency": "USD",
        "earliest_window_start": windows[0]["start_time"] if windows else None,
        "latest_window_end": windows[-1]["end_time"] if windows else None,
        "next_cursor": _cursor(month, granularity, end) if end < len(windows) else None,
        "data": windows[start:end],
    }


def filtered(entries: Sequence[Mapping[str, Any]], query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """The metrics that a query asks for: steps and times from and to, both inclusive, and so many training steps.

    Raises:
        RefusedError: With 400 for a parameter that is not valid.
    """
    bounds = {name: _integer(query, f"global_step_{name}") for name in ("from", "to")}
    times = {name: _nanoseconds(query, f"logged_at_{name}") for name in ("from", "to")}
    found = [e for e in entries if _within(_step(e), bounds) and _within(e["timestamp"], times)]
    resolution = _integer(query, "resolution")
    if resolution is None:
        return found
    training = [number for number, entry in enumerate(found) if "train/global_step" in entry]
    kept = {training[place * len(training) // resolution] for place in range(min(resolution, len(training)))}
    return [e for number, e in enumerate(found) if number in kept or "train/global_step" not in e]


def _step(entry: Mapping[str, Any]) -> Any:
    return entry.get("train/global_step", entry.get("eval/global_step"))


def _within(value: int | None, bounds: Mapping[str, int | None]) -> bool:
    start, end = bounds["from"], bounds["to"]
    if value is None:
        return start is None and end is None
    return (start is None or start <= value) and (end is None or value <= end)


def _integer(query: Mapping[str, str], name: str) -> int | None:
    try:
        return int(query[name]) if name in query else None
    except ValueError:
        raise RefusedError(HTTPStatus.BAD_REQUEST) from None


def _nanoseconds(query: Mapping[str, str], name: str) -> int | None:
    """A time in nanoseconds since 1970; without an offset it is in UTC."""
    try:
        return nanoseconds(datetime.fromisoformat(query[name])) if name in query else None
    except ValueError:
        raise RefusedError(HTTPStatus.BAD_REQUEST) from None


def _cursor(month: str, granularity: str, place: int) -> str:
    return base64.urlsafe_b64encode(f"{month}/{granularity}/{place}".encode()).decode()


def _place(cursor: str, month: str, granularity: str) -> int:
    """The place that a cursor names, which is valid for the month and granularity for which it was given only."""
    try:
        of_month, of_granularity, place = base64.b64decode(cursor, b"-_", validate=True).decode().split("/")
    except (binascii.Error, ValueError):
        raise RefusedError(HTTPStatus.BAD_REQUEST) from None
    if (of_month, of_granularity) != (month, granularity) or not place.isdecimal():
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    return int(place)
