"""One page of a list response: its jobs as bytes, its keys, and the cursor of the next page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ftetl.errors import DataError
from ftetl.raw import envelope, index
from ftetl.raw.element import Scan
from ftetl.raw.response import Response

_KEY: Final = "next_cursor"
# A response without it is never read here; one with the key spelled with escapes is refused later, as before.
_SIGN: Final = re.compile(rb'"next_cursor"\s*:\s*(?!null\b)')


class _Closing(msgspec.Struct):
    next_cursor: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True)
class Page:
    """One page of a list."""

    jobs: bytes = field(repr=False)  # the elements of its list as they were received, without the brackets
    ids: list[str] = field(repr=False)
    received: int  # elements, with those that have no id
    keys: dict[str, Any]  # what is beside the list
    cursor: str | None  # of the next page, exactly as received


def may_have_cursor(body: bytes) -> bool:
    """Whether the body may name a next page."""
    return _SIGN.search(body) is not None


def read_page(response: Response) -> Page | None:
    """The page that a response is; None if it has no list in `data`, or null in its place.

    Raises:
        DataError: It is invalid or an error message, or has null for its list although it names more jobs.
    """
    opening = envelope.read_opening(response)
    if opening.single or opening.bare or opening.empty:
        return None
    scan = Scan()
    end = index.scan_list(response, opening.start, scan)
    keys = envelope.read_keys(response, opening, end + 1)
    jobs = response.blob.read(opening.start, end - opening.start).strip()
    return Page(jobs, scan.ids, scan.received, keys, _cursor(response, opening, end + 1))


def require_page(response: Response) -> Page:
    """The page that a response is; null in the place of its list is an empty one, whose keys are not read.

    Raises:
        DataError: As `read_page`; or it has no list.
    """
    page = read_page(response)
    if page is not None:
        return page
    if not envelope.read_opening(response).empty:
        raise DataError("R07", f"{response.name} has no `data`", next="try again later")
    return Page(b"", [], 0, {}, None)


def _cursor(response: Response, opening: envelope.Opening, after: int) -> str | None:
    # Not of the parsed keys, in which what looks like a secret is masked.
    raw = opening.keys.get(_KEY)
    if raw is None:
        rest = response.blob.read(after, response.blob.size - after).strip()
        closing = msgspec.json.decode(b"{" + rest.removeprefix(b","), type=_Closing).next_cursor
        raw = b"null" if isinstance(closing, msgspec.UnsetType) else bytes(closing)
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str) and value else None
