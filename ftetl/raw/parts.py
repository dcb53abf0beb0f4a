"""Several responses in one file: lines of which each is a list response, or documents one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice, pairwise

import msgspec

from ftetl.config import limits
from ftetl.errors import FtetlError
from ftetl.raw import envelope
from ftetl.raw.blob import Blob, Part
from ftetl.raw.json_tokens import STRING_OR_BRACKET
from ftetl.raw.response import Response, Shape

_BOM = b"\xef\xbb\xbf"
_WINDOW = 1 << 20
_SAMPLE = 20  # lines that are looked at for a list response


class _Keys(msgspec.Struct):
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_keys = msgspec.json.Decoder(_Keys)


def is_lines(blob: Blob) -> bool:
    """Whether this is JSON Lines (NDJSON): more than one line, and the first one is a whole JSON value.

    A malformed first line must not change how all others are read. After a line that opens an object, a line that is a
    whole object makes it lines, unless the object could stand there in one document: after `[` or `:`. Two whole
    objects in succession, without a comma, stand in no document.
    """
    spans = islice(_line_spans(blob), _SAMPLE)
    begin = list(islice(spans, 2))
    if len(begin) < 2:
        return False  # without reading the one line, which may be larger than the memory
    lines = (blob.read(*span).removeprefix(_BOM).strip() for span in chain(begin, spans))
    first, second = next(lines, b""), next(lines, b"")
    if not second or _is_json(first):
        return bool(second)
    if not first.startswith(b"{") or first.endswith(b"["):
        return False
    if _is_object(second) and not first.endswith(b":"):
        return True
    return any(a and b for a, b in pairwise(map(_is_object, [second, *lines])))


def lists_in_lines(response: Response) -> list[Response]:
    """The lines as responses of their own, if some of the first ones is a list of jobs; else nothing.

    Among jobs, an array of anything else is one malformed line, and no line may change how all others are read.
    """
    if response.shape is not Shape.LINES:
        return []
    sample = [_part(response, "line", 0, *span) for span in islice(_line_spans(response.blob), _SAMPLE)]
    openings = [_list_opening(line) for line in sample]
    if None in openings and not any(map(_is_job_list, sample, openings)):
        return []
    spans = list(_line_spans(response.blob))
    if len(spans) == 1:
        return [replace(response, shape=Shape.DOCUMENT)]
    return [_part(response, "line", number, *span) for number, span in enumerate(spans, start=1)]


def documents(response: Response) -> list[Response]:
    """The documents that stand one after the other in a response; nothing if there is only one."""
    if response.shape is Shape.LINES or response.blob.size > limits.LONGEST_WALK:
        return []
    spans = list(_value_spans(response.blob.read(0, response.blob.size)))
    if len(spans) < 2:
        return []
    return [_part(response, "part", number, *span) for number, span in enumerate(spans, start=1)]


def _value_spans(raw: bytes) -> Iterator[tuple[int, int]]:
    """The offset and length of each object and array at the top level; what is left at the end is one more."""
    depth = start = 0
    for token in STRING_OR_BRACKET.finditer(raw):
        mark = raw[token.start()]
        depth += (mark in b"[{") - (mark in b"]}")
        if depth == 0 and mark in b"]}":
            yield start, token.end() - start
            start = token.end()
    if raw[start:].strip():
        yield start, len(raw) - start


def _part(response: Response, word: str, number: int, start: int, length: int) -> Response:
    name = f"{response.name}, {word} {number}"
    blob = Part(response.blob, start, length)
    return replace(response, name=name, blob=blob, shape=Shape.DOCUMENT, whole=False, several=True)


def _list_opening(line: Response) -> envelope.Opening | None:
    """How the list begins that a line is; None if it is no list."""
    try:
        if line.blob.size <= _WINDOW and _has_id_alone(line.blob.read(0, _WINDOW)):
            return None
        opening = envelope.read_opening(line)
    except FtetlError:
        return None
    return None if opening.single else opening


def _has_id_alone(line: bytes) -> bool:
    """Whether a line is clearly an object with an `id` and without `data`, as a job is."""
    try:
        keys = _keys.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return keys.id is not msgspec.UNSET and keys.data is msgspec.UNSET


def _is_job_list(line: Response, opening: envelope.Opening | None) -> bool:
    """Whether a line is a list in `data`, or an array whose first element is an object."""
    return opening is not None and (not opening.bare or line.blob.read(opening.start, 64).lstrip()[:1] == b"{")


def _line_spans(blob: Blob) -> Iterator[tuple[int, int]]:
    """The offset and length of each line that is not blank; a long line is never held in memory."""
    start = offset = 0
    is_blank = True
    while window := blob.read(offset, _WINDOW):
        at = 0
        while (end := window.find(b"\n", at)) >= 0:
            is_blank = is_blank and not window[at:end].strip()
            if not is_blank:
                yield start, offset + end - start
            start, at, is_blank = offset + end + 1, end + 1, True
        is_blank = is_blank and not window[at:].strip()
        offset += len(window)
    if not is_blank:
        yield start, offset - start


def _is_object(line: bytes) -> bool:
    return line.startswith(b"{") and _is_json(line)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True
