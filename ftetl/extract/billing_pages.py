"""The bill of one month, `GET /billing/usage`, with all its pages joined to one document, or an error."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from ftetl.clock import now
from ftetl.errors import DataError, FtetlError
from ftetl.raw import pages, paging, strict_json
from ftetl.raw.blob import Memory
from ftetl.raw.pages import Page
from ftetl.raw.response import Response

PATH: Final = "/billing/usage"
_NAME: Final = f"GET {PATH}"
_LIMIT: Final = 1000  # windows a page, the most that the API gives; a month of days has 31
_PAGE_KEYS: Final = ("data", "next_cursor")

Get = Callable[[str], bytes | None]  # the body at a path below the base address; None for a 404


class _Window(msgspec.Struct):
    start_time: Any = None
    date: Any = None


_windows = msgspec.json.Decoder(list[_Window])
_raw_windows = msgspec.json.Decoder(list[msgspec.Raw])


def fetch_month(get: Get, month: str, organization_id: str | None, max_bytes: int) -> bytes | None:
    """The bill of a month by day; None where the API has none to show (404: not enabled for this organisation).

    Where a page names a next one, that is requested with `after=`, and so on to the last one: a bill is complete, or
    there is an error. One in one page stays as it was received.

    Args:
        get: Requests a path.
        month: `YYYY-MM`.
        organization_id: The key's organisation, if it is known. The API refuses that of another one with 403.
        max_bytes: Of all pages together.

    Raises:
        FtetlError: As `get`.
        DataError: The response is no bill, or one of another organisation; or a page repeats a cursor or a window, or
            names a next one without having a window; or the pages are too large together.
    """
    query = {"month": month, "granularity": "day", "limit": str(_LIMIT)}
    if organization_id is not None:
        query["organization_id"] = organization_id
    bill = _Bill(month, max_bytes, organization_id)
    cursor: str | None = None
    while True:
        parameters = query if cursor is None else {**query, "after": cursor}
        path = f"{PATH}?{urlencode(parameters, quote_via=quote, safe='')}"
        body = get(path)
        if body is None and bill.number:
            raise bill.refused("names a next page that is not there")
        if body is None:
            return None
        cursor = bill.add(body)
        if cursor is None:
            return bill.body()


class FirstMonth:
    """Lets one thread ask for a month first. Where that is no success, no other month is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_shown: bool | None = None  # None: no month was answered yet
        self._failure: FtetlError | None = None

    def fetch(self, fetch: Callable[[], bytes | None]) -> bytes | None:
        """What `fetch` gives; without calling it None where the first month was None, or the first month's error.

        A bill that is not usable is about its month alone.

        Raises:
            FtetlError: As `fetch`.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._is_shown is None:
                return self._fetch_first(fetch)
        return fetch() if self._is_shown else None

    def _fetch_first(self, fetch: Callable[[], bytes | None]) -> bytes | None:
        try:
            body = fetch()
        except DataError:
            self._is_shown = True
            raise
        except FtetlError as error:
            self._failure = error
            raise
        self._is_shown = body is not None
        return body


@dataclass
class _Bill:
    """The pages of a month, added in their order."""

    month: str
    max_bytes: int
    organization_id: str | None  # the one that was asked for
    number: int = 0  # of pages so far
    _first: bytes = field(default=b"", repr=False)
    _keys: dict[str, Any] = field(default_factory=dict)  # beside the list of the first page
    _windows: list[bytes] = field(default_factory=list, repr=False)
    _size: int = 0
    _received: int = 0
    _seen: set[Any] = field(default_factory=set)  # the windows so far, by their start
    _cursors: set[str] = field(default_factory=set, repr=False)

    def add(self, body: bytes) -> str | None:
        """Add a page; the cursor of the next one, None after the last page."""
        self.number += 1
        self._size += len(body)
        if self._size > self.max_bytes:
            raise self.refused(f"exceeds {self.max_bytes:,} bytes together with the pages before it")
        page = pages.require_page(Response(f"{_NAME} of {self.month}", Memory(body), now()))
        if self.number == 1:
            self._first = body
            self._keys = {key: value for key, value in page.keys.items() if key not in _PAGE_KEYS}
        named = page.keys.get("organization_id")
        if named and self.organization_id is not None and named != self.organization_id:
            raise self.refused("is that of another organisation than the one that was asked for")
        self._add_windows(page)
        self._received += page.received
        if page.cursor is None:
            if (sign := paging.sign_in_keys(page.keys, self._received, self.number)) is not None:
                raise self.refused(f"is the last one, but `{sign}` tells of more")
            return None
        if not page.received:
            raise self.refused("names a next page but has no window")
        if page.cursor in self._cursors:
            raise self.refused("repeats the cursor of a page before it")
        self._cursors.add(page.cursor)
        return page.cursor

    def body(self) -> bytes:
        """The bill: the one page as it was received, or the windows of all pages as they were received."""
        if self.number == 1:
            return self._first
        keys = strict_json.compact_json(self._keys)[1:-1].encode()
        return b'{"data":[' + b",\n".join(self._windows) + b"]" + (b"," + keys if keys else b"") + b"}"

    def refused(self, why: str) -> DataError:
        """The error for the newest page."""
        what = f"page {self.number or 1} of the bill of {self.month} {why}"
        return DataError("R46", what, next="run again; if that does not help, leave the bill out with --billing none")

    def _add_windows(self, page: Page) -> None:
        if page.received:
            self._windows.append(page.jobs)
        starts = _starts(page.jobs)
        if not self._seen.isdisjoint(starts):
            raise self.refused("repeats a window of the pages before it")
        self._seen.update(starts)


def _starts(windows: bytes) -> set[Any]:
    """What tells the windows of one page from those of another: when each starts, else its bytes."""
    body = b"[" + windows + b"]"
    try:
        starts = {w.start_time or w.date for w in _windows.decode(body)}
        if starts and None not in starts:
            return starts
        return {bytes(raw) for raw in _raw_windows.decode(body)}
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, TypeError):
        return {windows} if windows else set()
