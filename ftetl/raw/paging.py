"""Signs that a response shows one page of a list, or a filtered part of it: in its body, or in its headers.

An API that pages names the next page, or how many jobs there are, in one of many spellings. Names are compared without
case and punctuation: `next_cursor`, `nextCursor` and `X-Next-Cursor` are the same sign. A part that gives no
such sign is found by the jobs that it lacks, by `pipeline.partial_list`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ftetl.errors import DataError

_EMPTY: Final[tuple[Any, ...]] = (None, False, "", "false", [], {})
# Objects that may hold such keys one level down.
_OBJECTS: Final = frozenset(
    ["links", "meta", "metadata", "page", "pageinfo", "paging", "pagination", "cursor", "cursors", "responsemetadata"]
)
_MORE: Final = re.compile(
    "(odata)?next.*|has(more|next.*)|more(pages|results|available)?|cursor|continuation.*|(is)?truncated"
    "|incomplete(results)?|(is)?partial|filters?"
)
_ENDS: Final = frozenset(["last", "islast", "islastpage", "complete", "iscomplete"])  # a sign where they are false
_TOTALS: Final = frozenset(
    [
        "total",
        "totalcount",
        "totalitems",
        "totalresults",
        "totalsize",
        "totalrecords",
        "totalelements",
        "count",
        "numfound",
    ]
)
_PAGES: Final = frozenset(["totalpages", "pages", "pagecount", "numpages", "lastpage"])
_STARTS: Final = frozenset(["offset", "skip"])
_NUMBERS: Final = frozenset(["page", "currentpage", "pagenumber"])
_LIMITS: Final = frozenset(["limit", "pagesize", "perpage", "maxresults", "maxitems"])
_PUNCTUATION: Final = re.compile(r"[^a-z0-9]")
_MAX_DIGITS: Final = 18  # of a count in text; Python refuses to read a very long one
_LINK_TO_NEXT: Final = re.compile(
    r""";\s*rel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|'[^']*\bnext\b[^']*'|next\b)""", re.IGNORECASE
)


def page_error(name: str, sign: str) -> DataError:
    """The error for one page of a list; `sign` is how it shows."""
    what = f"{name} is one page of several ({sign}), not the whole list"
    return DataError("R46", what, next="fetch all pages into one list")


def is_empty(value: Any) -> bool:
    """Whether the value says nothing: null, false, zero, or nothing in it."""
    return value in _EMPTY


def sign_in_keys(keys: Mapping[str, Any], received: int, pages: int = 1) -> str | None:
    """The key that says that there are more jobs than the `received` ones; None without one.

    Args:
        keys: What is beside the list; of several pages, beside the last one's.
        received: How many elements the list has, or all pages have.
        pages: How many pages were read, one after the other.
    """
    for key, value in keys.items():
        name = _PUNCTUATION.sub("", key.lower())
        if isinstance(value, dict) and name in _OBJECTS:
            inner = sign_in_keys(value, received, pages)
            if inner is not None:
                return inner
        elif _is_sign(name, value, received, pages):
            return key
    return None


def _is_sign(name: str, value: Any, received: int, pages: int) -> bool:
    if _MORE.fullmatch(name):
        return not is_empty(value)
    if name in _ENDS:
        return value is False
    number = _whole_number(value)
    if number is None:
        return False
    return (
        (name in _TOTALS and number > received)
        or (name in _PAGES | _NUMBERS and number > pages)
        or (pages == 1 and name in _STARTS and number > 0)
        or (pages == 1 and name in _LIMITS and number == received > 0)
    )


def _whole_number(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    is_digits = isinstance(value, str) and len(value) <= _MAX_DIGITS and value.isascii() and value.isdecimal()
    return int(value) if is_digits else None


def sign_in_headers(headers: Mapping[str, str]) -> str | None:
    """The header that says that there is a next page; None without one."""
    if _LINK_TO_NEXT.search(headers.get("link", "")):
        return "Link"
    for name, value in headers.items():
        stripped = _PUNCTUATION.sub("", name.lower().removeprefix("x-").removeprefix("pagination-"))
        if (
            name.lower().startswith("x-")
            and _MORE.fullmatch(stripped)
            and value.strip().lower() not in ("", "false", "0")
        ):
            return name
    return None


_RANGE: Final = re.compile(r"\s*\w*\s*(?:\d+-\d+|\*)/(\d+)\s*")


def total_in_headers(headers: Mapping[str, str]) -> int | None:
    """How many jobs there are, by the headers; None where they do not say so."""
    for name in ("x-total-count", "x-total", "x-pagination-total", "x-pagination-total-count"):
        if (number := _whole_number(headers.get(name, "").strip())) is not None:
            return number
    match = _RANGE.fullmatch(headers.get("content-range", ""))
    return int(match[1]) if match else None
