"""The bytes around the jobs of a response: which kind of response it is, and whether its list is complete.

They are parsed strictly, because an incomplete list must never pass for a complete one.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import Any

from ftetl.errors import DataError, ProtocolError
from ftetl.raw import strict_json
from ftetl.raw.json_tokens import MEMBER_KEY, split_elements
from ftetl.raw.response import Response, read_window

_REACH = 1 << 20  # bytes that are read at first of what comes before the list, and at most of what comes after it
_ADVICE = 'give a response of GET /fine-tunes ({"data": […]}), of GET /fine-tunes/{id}, or an array of jobs'
# Keys beside `data` that mark one page of several; so does every key that begins with `next`.
_PAGING = ("has_more", "cursor")
_PAGING_OBJECTS = ("links", "meta", "page", "page_info", "pagination", "paging")  # may hold such keys
_EMPTY: tuple[Any, ...] = (None, False, "", "false", [], {})


@dataclass(frozen=True)
class Opening:
    """How a document begins: where its list (or its one job) starts, and the keys before the list."""

    start: int
    single: bool = False
    empty: bool = False  # `"data": null`
    bare: bool = False  # an array without an object around it
    keys: dict[str, bytes] = field(default_factory=dict)


def skip_byte_order_mark(response: Response) -> int:
    """The offset after a byte order mark.

    Raises:
        DataError: The response is empty, or UTF-16 or UTF-32.
        ProtocolError: A web page.
    """
    head = response.blob.read(0, 4096)
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head[:4]:
        raise DataError("R04", f"{response.name} is not UTF-8", next="convert it to UTF-8")
    bare = head[start:].lstrip()
    if bare.startswith(b"<"):
        what = f"{response.name} is a web page, not a response of the Together API"
        raise ProtocolError("H32", what, next="check the address")
    if not bare and not response.blob.read(start, response.blob.size).strip():
        raise DataError("R02", f"{response.name} is empty", next=_ADVICE)
    return start


def read_opening(response: Response) -> Opening:
    """How the document begins.

    Raises:
        DataError: It is neither a list of jobs nor one job.
        ProtocolError: It is a web page.
    """
    mark = skip_byte_order_mark(response)
    reach = _REACH
    while True:
        head = read_window(response, mark, reach)
        at = len(head) - len(head.lstrip())
        first = head[at : at + 1]
        if first == b"[":
            return Opening(mark + at + 1, bare=True)
        if first != b"{":
            raise DataError("R06", f"{response.name} is not a JSON list or object", next=_ADVICE)
        if opening := _object_opening(response, head, at, mark):
            return opening
        reach *= 8  # a value before the list, or before the job's id, is larger than what was read


def _object_opening(response: Response, head: bytes, start: int, mark: int) -> Opening | None:
    """The opening of an object: its list in `data`, or else one job with an `id`. None: more bytes are needed."""
    complete = mark + len(head) >= response.blob.size
    keys: dict[str, bytes] = {}
    repeated = False  # in a job this refuses the job, not the response
    at = start + 1
    while match := MEMBER_KEY.match(head, at):
        key = _parsed(response, match[1])
        repeated = repeated or key in keys
        at = match.end()
        if key == "data":
            if repeated:
                raise _repeated_key(response)
            return _list_opening(response, head, at, mark, keys) if complete or at + 4 < len(head) else None
        value = next(split_elements(head, at), None)
        if value is None:
            keys[key] = b""
            at = len(head)
            break
        # Not parsed yet: this may be a job, whose values may be large or invalid.
        keys[key] = head[value.start : value.end]
        at = value.next
        if head[at - 1 : at] != b",":
            complete = True
            break
    if "id" in keys:
        return Opening(mark + start, single=True)
    if not complete:
        return None
    raise _no_list(response, keys)


def _list_opening(response: Response, head: bytes, at: int, mark: int, keys: dict[str, bytes]) -> Opening:
    rest = head[at:]
    if rest.startswith(b"null"):
        _require_complete(response, keys, mark + at + 4)
        return Opening(mark + at, empty=True)
    if not rest.startswith(b"["):
        raise DataError("R09", f"`data` of {response.name} is not a list", next=_ADVICE)
    return Opening(mark + at + 1, keys=keys)


def check_closing(response: Response, opening: Opening, end: int) -> None:
    """Check the rest of the document, from its list's closing bracket at `end`.

    Raises:
        DataError: It is invalid, or says that the list goes on elsewhere.
    """
    after = end + 1
    if not opening.bare:
        _require_complete(response, opening.keys, after)
    elif response.blob.read(after, response.blob.size - after).strip():
        raise DataError("E02", f"{response.name} has more text after its list", next="keep one response in one file")


def _require_complete(response: Response, keys_before: dict[str, bytes], after: int) -> None:
    """Refuse one page of several, by the keys before the list and those after it, which begin at `after`."""
    keys = {key: _parsed(response, value) for key, value in keys_before.items()}
    keys |= _closing_keys(response, after, set(keys))
    if keys.get("error") not in _EMPTY:
        raise _no_list(response, keys)
    inner = [value for key, value in keys.items() if key in _PAGING_OBJECTS and isinstance(value, dict)]
    for key, value in [item for part in (keys, *inner) for item in part.items()]:
        if (key in _PAGING or key.startswith("next")) and value not in _EMPTY:
            what = f"{response.name} is one page of several (`{key}` is set), not the whole list"
            raise DataError("R46", what, next="fetch all pages into one list")


def _closing_keys(response: Response, at: int, before: set[str]) -> dict[str, Any]:
    rest = response.blob.read(at, _REACH + 1).strip()
    if len(rest) > _REACH:
        raise DataError("E02", f"{response.name} has too much text after its list", next=_ADVICE)
    try:
        keys = strict_json.parse(b"{" + rest.removeprefix(b","))
    except strict_json.RefusedError:
        keys = None
    if keys is None or rest.startswith(b",") != bool(keys):
        raise DataError("E01", f"{response.name} is invalid after its list", next="fetch the response again")
    if before & set(keys) or "data" in keys:
        raise _repeated_key(response)
    return dict(keys)


def _no_list(response: Response, keys: dict[str, Any]) -> DataError:
    if "error" in keys:
        what = f"{response.name} is an error message of the API, not a list of jobs"
        return DataError("R01", what, next=_ADVICE)
    seen = ", ".join(sorted(k for k in keys if k.isidentifier())[:8]) or "none"
    return DataError("R07", f"{response.name} has no `data` (keys seen: {seen})", next=_ADVICE)


def _repeated_key(response: Response) -> DataError:
    return DataError("R13", f"{response.name} has a repeated key", next="fetch the response again")


def _parsed(response: Response, raw: bytes) -> Any:
    try:
        return strict_json.parse(raw)
    except strict_json.RefusedError:
        raise DataError("E01", f"{response.name} is invalid before its list", next="fetch the response again") from None
