"""The bytes around the elements of an answer: what kind of answer it is, and whether it is a whole one.

Reads the opening and the closing of a document strictly, because a list that is not the whole list must never pass
for one. Knows nothing of what an element holds.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Any

from ftetl import strict
from ftetl.answers import Answer
from ftetl.errors import DataError, ProtocolError

_REACH = 1 << 20  # bytes that an envelope may take before or after its list
_ADVICE = 'give an answer of GET /fine-tunes ({"data": […]}), of GET /fine-tunes/{id}, or an array of jobs'
# Keys beside `data` that mean that the answer is one page of several.
_PAGING = ("has_more", "next", "next_page", "next_cursor", "cursor", "next_page_token")


@dataclass(frozen=True)
class Opening:
    """How a document begins: where its list (or its one job) starts, and the keys before the list."""

    start: int
    single: bool = False
    nothing: bool = False  # a list that is known to be empty: `"data": null`
    bare: bool = False
    keys: dict[str, Any] = field(default_factory=dict)


def skip_mark(answer: Answer) -> int:
    """The offset behind a byte order mark, after refusing what is no UTF-8 text or a web page.

    Raises:
        DataError: Nothing there, or UTF-16 or UTF-32.
        ProtocolError: A web page.
    """
    head = answer.blob.read(0, 4096)
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head[:4]:
        raise DataError(f"{answer.name} is not UTF-8", next="convert it to UTF-8")
    bare = head[start:].lstrip()
    if bare.startswith(b"<"):
        raise ProtocolError(f"{answer.name} is a web page, not an answer of the Together API", next="check the address")
    if not bare and not answer.blob.read(0, answer.blob.size).strip():
        raise DataError(f"{answer.name} is empty", next=_ADVICE)
    return start


def opening(answer: Answer) -> Opening:
    """How the document begins.

    Raises:
        DataError: It is neither a list of jobs nor one job.
        ProtocolError: It is a web page.
    """
    mark = skip_mark(answer)
    head = answer.blob.read(mark, _REACH)
    start = mark + len(head) - len(head.lstrip())
    first = head.lstrip()[:1]
    if first == b"[":
        return Opening(start + 1, bare=True)
    if first != b"{":
        raise DataError(f"{answer.name} is no JSON list or object", next=_ADVICE)
    return _object(answer, head, start, mark)


_KEY = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:\s*')


def _object(answer: Answer, head: bytes, start: int, mark: int) -> Opening:
    """Walk the keys before `data`; an object without it that has an `id` is one job."""
    keys: dict[str, Any] = {}
    at = start - mark + 1
    while match := _KEY.match(head, at):
        key = _value(answer, match[1])
        if key in keys:
            raise DataError(f"{answer.name} has the key {key!r} twice", next="fetch the answer again")
        at = match.end()
        if key == "data":
            return _data(answer, head, at, mark, keys)
        end = _end_of_value(head, at)
        # A job begins like an envelope; its own values are read later, and may be large or odd.
        keys[key] = head[at:end] if end is not None else b""
        if end is None or head[end : end + 1] != b",":
            break
        at = end + 1
    if "id" in keys:
        return Opening(start, single=True)
    raise DataError(_no_data(answer, keys), next=_ADVICE)


def _data(answer: Answer, head: bytes, at: int, mark: int, keys: dict[str, Any]) -> Opening:
    rest = head[at:]
    if rest.startswith(b"null"):
        read = {k: _value(answer, v) for k, v in keys.items()}
        _complete(answer, read | _closing_keys(answer, mark + at + 4, set(keys)))
        return Opening(mark + at, nothing=True)
    if not rest.startswith(b"["):
        raise DataError(f"`data` of {answer.name} is no list", next=_ADVICE)
    return Opening(mark + at + 1, keys=keys)


def closing(answer: Answer, begun: Opening, end: int) -> None:
    """Check the rest of the document from its list's closing bracket at `end`.

    Raises:
        DataError: Something is broken there, or says that the list goes on elsewhere.
    """
    after = end + 1
    if begun.bare:
        if answer.blob.read(after, answer.blob.size - after).strip():
            raise DataError(f"{answer.name} goes on behind its list", next="keep one answer in one file")
        return
    before = {k: _value(answer, v) for k, v in begun.keys.items()}
    _complete(answer, before | _closing_keys(answer, after, set(before)))


def _closing_keys(answer: Answer, at: int, before: set[str]) -> dict[str, Any]:
    rest = answer.blob.read(at, _REACH + 1).strip()
    if len(rest) > _REACH:
        raise DataError(f"{answer.name} has too much behind its list", next=_ADVICE)
    text = b"{" + rest[1:] if rest.startswith(b",") else b"{" + rest
    try:
        keys = strict.parse(text)
    except strict.RefusedError as error:
        raise DataError(f"{answer.name} is broken behind its list", next="fetch the answer again") from error
    if before & set(keys) or "data" in keys:
        raise DataError(f"{answer.name} has a key twice", next="fetch the answer again")
    return dict(keys)


def _complete(answer: Answer, keys: dict[str, Any]) -> None:
    for key in _PAGING:
        if keys.get(key) not in (None, False, "", "false"):
            raise DataError(
                f"{answer.name} is one page of several (`{key}` is set), not the whole list",
                next="fetch all pages into one list",
            )


def _no_data(answer: Answer, keys: dict[str, Any]) -> str:
    if "error" in keys:
        return f"{answer.name} is an error message of the API, not a list of jobs"
    seen = ", ".join(sorted(k for k in keys if k.isidentifier())[:8]) or "none"
    return f"{answer.name} has no `data` (keys seen: {seen})"


def _value(answer: Answer, raw: bytes) -> Any:
    try:
        return strict.parse(raw)
    except strict.RefusedError as error:
        raise DataError(f"{answer.name} is broken before its list", next="fetch the answer again") from error


_STEPS = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{},]', re.DOTALL)


def _end_of_value(head: bytes, at: int) -> int | None:
    depth = 0
    for token in _STEPS.finditer(head, at):
        mark = head[token.start()]
        if mark in b"[{":
            depth += 1
        elif mark in b"]},":
            if depth == 0:
                return token.start()
            depth -= mark != ord(",")
    return None
