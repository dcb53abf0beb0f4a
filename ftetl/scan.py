"""Where the elements of an answer lie: the first pass over the bytes, which builds no objects.

Every byte of an answer is accounted for: an element, a refused element, or the few bytes of the envelope around
them, which are read strictly. A body is never held whole: windows are cut between two elements, and msgspec proves
each cut, because a window that is valid JSON between brackets starts and ends at the depth of the list.
Knows no contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from ftetl import envelope
from ftetl.answers import Answer, Blob, Shape
from ftetl.element import Head, Refused, Scan
from ftetl.errors import DataError
from ftetl.splitter import spans

__all__ = ["WINDOW", "Refused", "Scan", "scan"]

WINDOW = 8 << 20  # bytes; large enough that a window's fixed costs vanish, small enough for a bounded memory
_TRIES = 3  # cuts tried in one window before the tolerant splitter walks it

_head = msgspec.json.Decoder(Head)
_heads = msgspec.json.Decoder(list[Head])
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_SEPARATOR = re.compile(rb"\s*,\s*")


def scan(answer: Answer) -> Scan:
    """The elements of an answer.

    Raises:
        DataError: The answer as a whole is no list of jobs, no job, or not the whole list.
        ProtocolError: The answer begins with `<`: a web page.
    """
    found = Scan()
    if answer.shape is Shape.LINES:
        _lines(answer, found)
    else:
        _document(answer, found)
    found.check_ids()
    return found


def _document(answer: Answer, found: Scan) -> None:
    opening = envelope.opening(answer)
    if opening.single:
        found.is_detail = True
        raw = answer.blob.read(opening.start, answer.blob.size - opening.start).rstrip()
        found.judge(raw, opening.start)
        return
    found.is_list = True
    if opening.nothing:
        return
    end = _windows(answer, opening.start, found)
    envelope.closing(answer, opening, end)


def _windows(answer: Answer, start: int, found: Scan) -> int:
    """Read the list's elements; the offset of its closing bracket."""
    blob, size = answer.blob, WINDOW
    first = _first_key(blob, start)
    while True:
        window = blob.read(start, size)
        at_end = start + len(window) >= blob.size
        taken = _proved(found, window, start, first, at_end=at_end)
        closed = False
        if taken is None:
            if not at_end and size < 8 * WINDOW:
                size *= 2  # one element larger than the window, or no clean cut in it yet
                continue
            taken, closed = _walked(found, window, start, answer, at_end=at_end)
            if taken == 0 and not closed:
                size *= 2
                continue
        else:
            closed = at_end
        start += taken
        if closed:
            return start
        size = WINDOW


def _proved(found: Scan, window: bytes, start: int, first: bytes | None, *, at_end: bool) -> int | None:
    """Take a window whole if msgspec proves that it can be cut; how many bytes were taken, else None."""
    for cut, taken in _cuts(window, first, at_end=at_end):
        body = b"[" + window[:cut] + b"]"
        try:
            raws = _raws.decode(body)
        except msgspec.DecodeError:
            continue
        except RecursionError:
            return None
        if not raws and found.received:
            return None  # a comma and nothing after it
        try:
            heads: list[Head] | None = _heads.decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            heads = None
        _take(found, window, start, raws, heads)
        return taken
    return None


def _cuts(window: bytes, first: bytes | None, *, at_end: bool) -> Iterator[tuple[int, int]]:
    """Places where the window may end: (end of the last element, start of what follows)."""
    tries = 0
    if at_end:
        cut = window.rfind(b"]")
        while cut >= 0 and tries < _TRIES:
            yield cut, cut
            cut, tries = window.rfind(b"]", 0, cut), tries + 1
    elif first is not None:
        pattern = re.compile(rb"\}(\s*,\s*)(?=\{\s*" + re.escape(first) + rb"\s*:)")
        reach = 1 << 17
        while tries < _TRIES:
            tail = max(0, len(window) - reach)
            for match in reversed(list(pattern.finditer(window, tail))[-_TRIES:]):
                yield match.start() + 1, match.end()
                tries += 1
            if tail == 0:
                return
            reach *= 8


def _first_key(blob: Blob, start: int) -> bytes | None:
    # Jobs of one list begin with the same key nearly always; where they do not, the splitter finds the cuts.
    match = re.match(rb'\s*\{\s*("[^"\\]*")', blob.read(start, 4096))
    return match[1] if match else None


def _take(found: Scan, window: bytes, start: int, raws: list[msgspec.Raw], heads: list[Head] | None) -> None:
    at = len(window) - len(window.lstrip())
    for index, raw in enumerate(raws):
        length = memoryview(raw).nbytes
        if heads is not None:
            found.add(heads[index].id, start + at, length)
        else:
            found.judge(bytes(raw), start + at)
        at += length
        separator = _SEPARATOR.match(window, at)
        at = separator.end() if separator else at


def _walked(found: Scan, window: bytes, start: int, answer: Answer, *, at_end: bool) -> tuple[int, bool]:
    """Take a window element by element with the tolerant splitter: bytes taken, whether the list was closed."""
    taken = 0
    for span in spans(window):
        if span.closing and window[span.start] == ord("]"):
            return span.start, True
        if span.end > span.start:
            found.judge(window[span.start : span.end], start + span.start)
        elif span.closing or found.received or window[span.next - 1] != ord("]"):
            raise DataError(
                f"{answer.name} is broken between two elements of its list, after {found.received} of them",
                next="fetch the answer again",
            )
        taken = span.next
    if at_end:
        raise DataError(
            f"{answer.name} ends in the middle of its list, after {found.received} elements",
            next="fetch the answer again",
        )
    return taken, False


def _lines(answer: Answer, found: Scan) -> None:
    start, size = envelope.skip_mark(answer), WINDOW
    while start < answer.blob.size:
        window = answer.blob.read(start, size)
        at_end = start + len(window) >= answer.blob.size
        cut = len(window) if at_end else window.rfind(b"\n") + 1
        if cut == 0:
            size *= 2
            continue
        _line_window(found, window[:cut], start)
        start, size = start + cut, WINDOW
    if found.refused and not found.ids and all(r.rule in ("broken_json", "not_an_object") for r in found.refused):
        raise DataError(
            f"{answer.name} holds no job on any of its {found.received} lines",
            next="name a JSON document .json, and lines of JSON .ndjson",
        )


def _line_window(found: Scan, window: bytes, start: int) -> None:
    pieces = window.split(b"\n")
    if not pieces[-1]:
        pieces.pop()
    try:
        heads = _head.decode_lines(window)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        heads = []
    # As many values as lines, and no value can go on over `}` newline `{`: then each line is one value.
    proved = len(heads) == len(pieces) and all(p[:1] == b"{" and p[-1:] == b"}" for p in pieces)
    at = start
    for index, piece in enumerate(pieces):
        if proved:
            found.add(heads[index].id, at, len(piece))
        elif bare := piece.strip():
            found.judge(bare, at + piece.index(bare[:1]))
        at += len(piece) + 1
