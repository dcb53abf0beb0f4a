"""The bytes around the elements of an answer: what kind of answer it is, and whether it is a whole one.

Reads the opening and the closing of a document strictly, because a list that is not the whole list must never pass
for one. Knows nothing of what an element holds.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Any

from ftetl.errors import DataError, ProtocolError
from ftetl.raw import strict_json
from ftetl.raw.response import Response, window
from ftetl.raw.splitter import spans

_REACH = 1 << 20  # bytes that are read at first of what comes before the list, and at most of what comes after it
_ADVICE = 'give an answer of GET /fine-tunes ({"data": […]}), of GET /fine-tunes/{id}, or an array of jobs'
# Keys beside `data` that mean that the answer is one page of several; so does whatever begins with `next`.
_PAGING = ("has_more", "cursor")
_ABOUT_PAGES = ("links", "meta", "page", "page_info", "pagination", "paging")  # objects that may hold such keys
_SAYS_NOTHING: tuple[Any, ...] = (None, False, "", "false", [], {})


@dataclass(frozen=True)
class Opening:
    """How a document begins: where its list (or its one job) starts, and the keys before the list."""

    start: int
    single: bool = False
    nothing: bool = False  # a list that is known to be empty: `"data": null`
    bare: bool = False
    keys: dict[str, Any] = field(default_factory=dict)


def skip_mark(response: Response) -> int:
    """The offset behind a byte order mark, after refusing what is no UTF-8 text or a web page.

    Raises:
        DataError: Nothing there, or UTF-16 or UTF-32.
        ProtocolError: A web page.
    """
    head = response.blob.read(0, 4096)
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head[:4]:
        raise DataError("R04", f"{response.name} is not UTF-8", next="convert it to UTF-8")
    bare = head[start:].lstrip()
    if bare.startswith(b"<"):
        raise ProtocolError(
            "H32", f"{response.name} is a web page, not an answer of the Together API", next="check the address"
        )
    if not bare and not response.blob.read(start, response.blob.size).strip():
        raise DataError("R02", f"{response.name} is empty", next=_ADVICE)
    return start


def opening(response: Response) -> Opening:
    """How the document begins.

    Raises:
        DataError: It is neither a list of jobs nor one job.
        ProtocolError: It is a web page.
    """
    mark = skip_mark(response)
    reach = _REACH
    while True:
        head = window(response, mark, reach)
        at = len(head) - len(head.lstrip())
        first = head[at : at + 1]
        if first == b"[":
            return Opening(mark + at + 1, bare=True)
        if first != b"{":
            raise DataError("R06", f"{response.name} is no JSON list or object", next=_ADVICE)
        if found := _object(response, head, at, mark):
            return found
        reach *= 8  # a value before the list, or before the job's id, that is larger than what was read


_KEY = re.compile(rb'\s*("[^"\\]*(?:\\.[^"\\]*)*")\s*:\s*', re.DOTALL)


def _object(response: Response, head: bytes, start: int, mark: int) -> Opening | None:
    """Walk the keys before `data`; an object without it that has an `id` is one job. None: more bytes are needed."""
    whole = mark + len(head) >= response.blob.size
    keys: dict[str, Any] = {}
    repeated = False  # in a job that is for the quarantine, not for the whole answer
    at = start + 1
    while match := _KEY.match(head, at):
        key = _value(response, match[1])
        repeated = repeated or key in keys
        at = match.end()
        if key == "data":
            if repeated:
                raise DataError("R13", f"{response.name} has a key twice", next="fetch the answer again")
            return _data(response, head, at, mark, keys) if whole or at + 4 < len(head) else None
        value = next(spans(head, at), None)
        if value is None:
            keys[key] = b""
            at = len(head)
            break
        # A job begins like an envelope; its own values are read later, and may be large or odd.
        keys[key] = head[value.start : value.end]
        at = value.next
        if head[at - 1 : at] != b",":
            whole = True
            break
    if "id" in keys:
        return Opening(mark + start, single=True)
    if not whole:
        return None
    raise _no_data(response, keys)


def _data(response: Response, head: bytes, at: int, mark: int, keys: dict[str, Any]) -> Opening:
    rest = head[at:]
    if rest.startswith(b"null"):
        read = {k: _value(response, v) for k, v in keys.items()}
        _complete(response, read | _closing_keys(response, mark + at + 4, set(keys)))
        return Opening(mark + at, nothing=True)
    if not rest.startswith(b"["):
        raise DataError("R09", f"`data` of {response.name} is no list", next=_ADVICE)
    return Opening(mark + at + 1, keys=keys)


def closing(response: Response, begun: Opening, end: int) -> None:
    """Check the rest of the document from its list's closing bracket at `end`.

    Raises:
        DataError: Something is broken there, or says that the list goes on elsewhere.
    """
    after = end + 1
    if begun.bare:
        if response.blob.read(after, response.blob.size - after).strip():
            raise DataError("E02", f"{response.name} goes on behind its list", next="keep one answer in one file")
        return
    before = {k: _value(response, v) for k, v in begun.keys.items()}
    _complete(response, before | _closing_keys(response, after, set(before)))


def _closing_keys(response: Response, at: int, before: set[str]) -> dict[str, Any]:
    rest = response.blob.read(at, _REACH + 1).strip()
    if len(rest) > _REACH:
        raise DataError("E02", f"{response.name} has too much behind its list", next=_ADVICE)
    try:
        keys = strict_json.parse(b"{" + rest.removeprefix(b","))
    except strict_json.RefusedError:
        keys = None
    if keys is None or rest.startswith(b",") != bool(keys):
        raise DataError("E01", f"{response.name} is broken behind its list", next="fetch the answer again")
    if before & set(keys) or "data" in keys:
        raise DataError("R13", f"{response.name} has a key twice", next="fetch the answer again")
    return dict(keys)


def _complete(response: Response, keys: dict[str, Any]) -> None:
    if keys.get("error") not in _SAYS_NOTHING:
        raise _no_data(response, keys)
    inner = [value for key, value in keys.items() if key in _ABOUT_PAGES and isinstance(value, dict)]
    for key, value in [item for part in (keys, *inner) for item in part.items()]:
        if (key in _PAGING or key.startswith("next")) and value not in _SAYS_NOTHING:
            raise DataError(
                "R46",
                f"{response.name} is one page of several (`{key}` is set), not the whole list",
                next="fetch all pages into one list",
            )


def _no_data(response: Response, keys: dict[str, Any]) -> DataError:
    if "error" in keys:
        what = f"{response.name} is an error message of the API, not a list of jobs"
        return DataError("R01", what, next=_ADVICE)
    seen = ", ".join(sorted(k for k in keys if k.isidentifier())[:8]) or "none"
    return DataError("R07", f"{response.name} has no `data` (keys seen: {seen})", next=_ADVICE)


def _value(response: Response, raw: bytes) -> Any:
    try:
        return strict_json.parse(raw)
    except strict_json.RefusedError:
        raise DataError("E01", f"{response.name} is broken before its list", next="fetch the answer again") from None
