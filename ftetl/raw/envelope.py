"""The bytes around the jobs of a response: which kind of response it is, and whether its list is complete.

They are parsed strictly, because an incomplete list must never pass for a complete one.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ftetl.errors import DataError
from ftetl.raw import foreign, paging, strict_json
from ftetl.raw.json_tokens import MEMBER_KEY, split_elements
from ftetl.raw.response import Response, read_window

_REACH = 1 << 20  # bytes that are read at first of what comes before the list, and at most of what comes after it
_PLAIN_KEY = re.compile(r"[\w.-]{1,40}")  # that a message repeats, such as a job's id
_ADVICE = 'give a response of GET /fine-tunes ({"data": […]}), of GET /fine-tunes/{id}, or an array of jobs'


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
        DataError: The response is empty, a web page, or UTF-16 or UTF-32.
    """
    head = response.blob.read(0, 4096)
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head[:4]:
        raise DataError("R04", f"{response.name} is not UTF-8", next="convert it to UTF-8")
    bare = head[start:].lstrip()
    if bare.startswith(b"<"):
        what = f"{response.name} is a web page (HTML), not a response of the Together API"
        raise DataError("H32", what, next="save the response again")
    if not bare and not response.blob.read(start, response.blob.size).strip():
        raise DataError("R02", f"{response.name} is empty", next=_ADVICE)
    return start


def read_opening(response: Response) -> Opening:
    """How the document begins.

    Raises:
        DataError: It is neither a list of jobs nor one job.
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
    closed = False
    repeated = False  # in a job this refuses the job, not the response
    at = start + 1
    while match := MEMBER_KEY.match(head, at):
        key = _parsed(response, match[1])
        at = match.end()
        if key == "data":
            if repeated or key in keys:
                raise _repeated_key(response)
            return _list_opening(response, head, at, mark, keys) if complete or at + 4 < len(head) else None
        value = next(split_elements(head, at), None)
        if value is None:
            keys[key] = b""
            at = len(head)
            break
        # Not parsed yet: this may be a job, whose values may be large or invalid.
        raw = head[value.start : value.end]
        repeated = repeated or keys.get(key, raw) != raw
        keys[key] = raw
        at = value.next
        if head[at - 1 : at] != b",":
            complete = closed = True
            break
    if "id" in keys:
        return Opening(mark + start, single=True)
    if not complete:
        return None
    if not closed and head[at:].lstrip()[:1] in (b"", b'"'):
        raise _cut_error(response)
    raise _no_list(response, keys)


def _list_opening(response: Response, head: bytes, at: int, mark: int, keys: dict[str, bytes]) -> Opening:
    rest = head[at:]
    if rest.startswith(b"null"):
        _require_complete(response, keys, mark + at + 4, 0)
        return Opening(mark + at, empty=True)
    if b"null".startswith(rest.rstrip()):
        raise _cut_error(response)
    if not rest.startswith(b"["):
        raise DataError("R09", f"`data` of {response.name} is not a list", next=_ADVICE)
    return Opening(mark + at + 1, keys=keys)


def check_closing(response: Response, opening: Opening, end: int, received: int) -> None:
    """Check the rest of the document, from the closing bracket at `end` of its list of `received` elements.

    Raises:
        DataError: It is invalid, or says that the list goes on elsewhere.
    """
    after = end + 1
    if not opening.bare:
        _require_complete(response, opening.keys, after, received)
    elif response.blob.read(after, response.blob.size - after).strip():
        raise DataError("E02", f"{response.name} has more text after its list", next="keep one response in one file")


def _require_complete(response: Response, keys_before: dict[str, bytes], after: int, received: int) -> None:
    """Refuse one page of several, by the keys before the list and those after it, which begin at `after`."""
    keys = _all_keys(response, keys_before, after)
    if (sign := paging.sign_in_keys(keys, received)) is not None:
        raise paging.page_error(response.name, f"`{sign}` is set")


def read_keys(response: Response, opening: Opening, after: int) -> dict[str, Any]:
    """The keys of the object beside its list, which ends before `after`, with secrets masked.

    Raises:
        DataError: The rest of the document is invalid, or the response is an error message.
    """
    return _all_keys(response, opening.keys, after)


def _all_keys(response: Response, keys_before: dict[str, bytes], after: int) -> dict[str, Any]:
    keys = {key: _parsed(response, value) for key, value in keys_before.items()}
    keys |= _closing_keys(response, after, keys)
    if not paging.is_empty(keys.get("error")):
        raise _no_list(response, keys)
    return keys


def _closing_keys(response: Response, at: int, before: dict[str, Any]) -> dict[str, Any]:
    rest = response.blob.read(at, _REACH + 1).strip()
    if len(rest) > _REACH:
        raise DataError("E02", f"{response.name} has too much text after its list", next=_ADVICE)
    try:
        keys = strict_json.parse(b"{" + rest.removeprefix(b","))
    except strict_json.RefusedError:
        keys = None
    if keys is None and _is_cut(b"{" + rest.removeprefix(b",")):
        raise _cut_error(response)
    if keys is None or rest.startswith(b",") != bool(keys):
        raise DataError("E01", f"{response.name} is invalid after its list", next="fetch the response again")
    if "data" in keys or any(before[key] != keys[key] for key in before.keys() & keys.keys()):
        raise _repeated_key(response)
    return dict(keys)


def require_uncut(response: Response, raw: bytes) -> None:
    """Raise a `DataError` if the one job of a response ends in the middle."""
    if _is_cut(raw):
        raise _cut_error(response)


def _is_cut(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return str(error) == "Input data was truncated"  # msgspec has no class for it
    except (ValueError, RecursionError):
        return False
    return False


def _cut_error(response: Response) -> DataError:
    return DataError("H19", f"{response.name} ends in the middle", next="fetch the response again")


def _no_list(response: Response, keys: dict[str, Any]) -> DataError:
    if "error" in keys:
        what = f"{response.name} is an error message of the API, not a list of jobs"
        return DataError("R01", what, next=_ADVICE)
    if (label := foreign.label_of_keys(keys)) is not None:
        return foreign.foreign_error(response.name, label)
    seen = ", ".join(sorted(filter(_PLAIN_KEY.fullmatch, keys))[:8]) or "none"
    return DataError("R07", f"{response.name} has no `data` (keys seen: {seen})", next=_ADVICE)


def _repeated_key(response: Response) -> DataError:
    return DataError("R13", f"{response.name} has a repeated key", next="fetch the response again")


def _parsed(response: Response, raw: bytes) -> Any:
    try:
        return strict_json.parse(raw)
    except strict_json.RefusedError:
        raise DataError("E01", f"{response.name} is invalid before its list", next="fetch the response again") from None
