"""Decodes one response of `GET /billing/usage`: the line items of its windows, and what of it no row can take.

A bill is thousands of line items at most, in one response a month, so they are read one by one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import msgspec

from ftetl.contract import tables
from ftetl.errors import DataError
from ftetl.raw import pages, strict_json
from ftetl.raw.findings import Anomaly
from ftetl.raw.json_tokens import MEMBER_KEY, split_elements
from ftetl.raw.response import Response
from ftetl.transform.decode.extra_keys import unknown_keys
from ftetl.transform.decode.python_reader import clean_json, read_object
from ftetl.transform.decode.source_schema import Node, add_column
from ftetl.transform.timestamps import parse_timestamp

NAME: Final = "billing_usage"
WINDOWS: Final = "data"  # the key of the list of windows
LINES: Final = "line_items"  # the key of a window's list of line items
PREFIX: Final = f"{WINDOWS}.{LINES}."  # of the paths in anomalies
_WINDOW_KEY: Final = f"/{WINDOWS}"  # of `extra`; with a slash, as no key of a line item has


_raw_elements = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True)
class LineItem:
    """One line item, as far as columns read it."""

    window_position: int
    position: int
    fields: dict[str, Any]
    report: dict[str, Any]  # what is beside the windows, and the item's window under `WINDOWS`
    extra: str | None


@dataclass
class Bill:
    """What a month's response holds."""

    month: str
    items: list[LineItem] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)  # of the month, each at the position of its window
    refused: list[tuple[int, bytes, str]] = field(default_factory=list)  # position of the window, bytes, rule

    def add_anomaly(self, path: str, kind: str, raw: str | None, position: int) -> None:
        """Add an anomaly of the window at this position."""
        self.anomalies.append(Anomaly(self.month, path, kind, raw, position))


@dataclass(frozen=True)
class BillSchema:
    """The keys that columns read."""

    report: Node  # with the windows as one object
    window: Node
    item: Node


@cache
def bill_schema() -> BillSchema:
    """The schema of a bill, by the contract."""
    window, item = Node(), Node()
    report = Node({WINDOWS: window})
    for column in tables()[NAME].columns:
        add_column(report, item, column)
    return BillSchema(report, window, item)


def read_bill(response: Response, month: str) -> Bill:
    """The line items of a month's response.

    Refused are a window that is no clean object or lies in another month, and a line item that is no clean object. A
    window that came twice is there once.

    Raises:
        DataError: The response is no bill, or that of another month.
    """
    bill = Bill(month)
    page = pages.require_page(response)
    period = page.keys.get("billing_period")
    if isinstance(period, str) and period != month:
        what = f"{response.name} brought the bill of another month"
        raise DataError("R55", what, next="run again; if that does not help, leave the bill out with --billing none")
    around = read_object(bill_schema().report, page.keys, bill.add_anomaly)
    seen: dict[str, bytes] = {}
    for position, raw in enumerate(_elements(b"[" + page.jobs + b"]")):
        try:
            window, items = _split_window(raw)
            start = _start_in(window, month)
        except strict_json.RefusedError as refusal:
            bill.refused.append((position, raw, refusal.rule))
            continue
        if start is not None and start in seen:
            same = seen[start] == raw
            bill.add_anomaly(WINDOWS, "duplicate_identical" if same else "repeated_window", f'"{start}"', position)
            if same:
                continue
        elif start is not None:
            seen[start] = raw
        _read_window(bill, position, window, items, around)
    return bill


def _read_window(bill: Bill, position: int, window: dict[str, Any], items: list[bytes], around: dict[str, Any]) -> None:
    """Add the line items of a window."""
    schema = bill_schema()
    for path, _ in strict_json.repeated_keys(window, f"{WINDOWS}."):
        bill.add_anomaly(strict_json.replace_surrogates(path), "repeated_key", None, position)
    report = {**around, WINDOWS: read_object(schema.window, window, bill.add_anomaly, f"{WINDOWS}.", position)}
    of_window = unknown_keys(schema.window, {key: value for key, value in window.items() if key != LINES})
    of_window = clean_json(of_window, bill.add_anomaly, WINDOWS, position)
    for number, raw in enumerate(items):
        try:
            item = _object(raw, depth=4)
        except strict_json.RefusedError as refusal:
            bill.refused.append((position, raw, refusal.rule))
            continue
        for path, _ in strict_json.repeated_keys(item, PREFIX):
            bill.add_anomaly(strict_json.replace_surrogates(path), "repeated_key", None, position)
        fields = read_object(schema.item, item, bill.add_anomaly, PREFIX, position)
        extra = clean_json(unknown_keys(schema.item, item), bill.add_anomaly, PREFIX[:-1], position)
        if of_window:
            extra = {**extra, _WINDOW_KEY: of_window}
        text = strict_json.compact_json(extra) if extra else None
        bill.items.append(LineItem(position, number, fields, report, text))


def _split_window(raw: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """What a window has beside its line items, and the bytes of each of these: one broken item does not cost the rest.

    Raises:
        RefusedError: It is not one clean object with a list, null or nothing in `LINES`.
    """
    items: list[bytes] = []
    for member in split_elements(raw, 1) if raw.startswith(b"{") else ():
        key = MEMBER_KEY.match(raw, member.start, member.end)
        if key is not None and strict_json.parse(key[1]) == LINES:
            items = _elements(raw[key.end() : member.end])
            raw = raw[: key.end()] + b"null" + raw[member.end :]
            break
    return _object(raw, depth=2), items


def _object(raw: bytes, depth: int) -> dict[str, Any]:
    value = strict_json.parse(raw, depth=depth)
    if not isinstance(value, dict):
        raise strict_json.RefusedError("not_an_object")
    return value


def _elements(value: bytes) -> list[bytes]:
    """The bytes of each element of a list; none for null.

    Raises:
        RefusedError: It is something else, or goes on after its end.
    """
    if value == b"null":
        return []
    if not value.startswith(b"["):
        raise strict_json.RefusedError("no_list")
    try:
        return [bytes(raw) for raw in _raw_elements.decode(value)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # one of them is broken: which, the splitter finds
    *spans, end = split_elements(value, 1)
    if not end.closing or end.next != len(value):
        raise strict_json.RefusedError("broken_json")
    elements = [value[span.start : span.end] for span in spans]
    return [] if elements == [b""] else elements


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _start_in(window: dict[str, Any], month: str) -> str | None:
    """When a window starts, in UTC; where it does not say, its day; None without either.

    Raises:
        RefusedError: That is in another month.
    """
    start, day = window.get("start_time"), window.get("date")
    instant = parse_timestamp(start).instant if isinstance(start, str) else None
    if instant is not None:
        day = instant.isoformat()
    elif not isinstance(day, str) or not _DAY.fullmatch(day):
        return None
    if not day.startswith(month):
        raise strict_json.RefusedError("other_month")
    return day
