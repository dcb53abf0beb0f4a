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

from ftetl.contract import tables
from ftetl.errors import DataError
from ftetl.raw import envelope, strict_json
from ftetl.raw.element import Head, Refused, Scan
from ftetl.raw.response import Response, Shape
from ftetl.raw.response import window as read_window
from ftetl.raw.splitter import spans

__all__ = ["WINDOW", "Refused", "Scan", "scan", "single"]

WINDOW = 8 << 20  # bytes; large enough that a window's fixed costs vanish, small enough for a bounded memory
_OPEN, _CLOSE = b"{}"
_TRIES = 8  # cuts tried in one window before the tolerant splitter walks it


class _Single(Head):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_head = msgspec.json.Decoder(Head)
_single = msgspec.json.Decoder(_Single)
_heads = msgspec.json.Decoder(list[Head])
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_SEPARATOR = re.compile(rb"\s*,\s*")


def scan(response: Response) -> Scan:
    """The elements of an answer.

    Raises:
        DataError: The answer as a whole is no list of jobs, no job, or not the whole list.
        ProtocolError: The answer begins with `<`: a web page.
    """
    found = Scan()
    if response.shape is Shape.LINES:
        _lines(response, found)
    else:
        _document(response, found)
    found.check_ids()
    return found


def single(response: Response, job_id: str) -> Scan | None:
    """The one element of an answer that is plainly this job; None where `scan` has to look closer."""
    raw = response.blob.read(0, response.blob.size)
    try:
        head = _single.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    if head.id != job_id or head.data is not msgspec.UNSET:
        return None
    found = Scan(is_detail=True)
    found.add(job_id, len(raw) - len(raw.lstrip()), len(raw.strip()))
    return found


def _document(response: Response, found: Scan) -> None:
    opening = envelope.opening(response)
    if opening.single:
        raw = response.blob.read(opening.start, response.blob.size - opening.start).rstrip()
        found.judge(raw, opening.start)
        found.is_detail = response.detail or _tells_events(raw)
        return
    found.is_list = True
    if opening.nothing:
        return
    end = _windows(response, opening.start, found)
    envelope.closing(response, opening, end)


def _tells_events(raw: bytes) -> bool:
    """Whether one job says what its events are, be they none: a list's item that was saved alone does not."""
    try:
        return isinstance(strict_json.parse(raw).get(tables()["events"].rows), list)
    except (strict_json.RefusedError, AttributeError):
        return False


def _windows(response: Response, start: int, found: Scan) -> int:
    """Read the list's elements; the offset of its closing bracket."""
    blob, size, walked = response.blob, WINDOW, 0
    while True:
        window = read_window(response, start, size)
        at_end = start + len(window) >= blob.size
        taken = _proved(found, window, start, at_end=at_end)
        closed = at_end
        # Walking is slow: an element that is larger than the window is not walked again until it has grown much.
        if taken is None and (at_end or size >= 8 * walked):
            taken, closed = _walked(found, window, start, response, at_end=at_end)
            walked = size
        if not taken and not closed:
            size *= 2  # one element larger than the window
            continue
        start += taken or 0
        if closed:
            return start
        size, walked = WINDOW, 0


def _proved(found: Scan, window: bytes, start: int, *, at_end: bool) -> int | None:
    """Take a window whole if msgspec proves that it can be cut; how many bytes were taken, else None."""
    for cut, taken in _cuts(window, at_end=at_end):
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


def _cuts(window: bytes, *, at_end: bool) -> Iterator[tuple[int, int]]:
    """Places where the window may end: (end of the last element, start of what follows)."""
    if at_end:
        cut = len(window)
        for _ in range(_TRIES):
            cut = window.rfind(b"]", 0, cut)
            if cut < 0:
                return
            yield cut, cut
    elif between := _between(window):
        found: list[re.Match[bytes]] = []
        tail = len(window)
        while not found and tail > 0:
            tail = max(0, len(window) - 8 * max(len(window) - tail, 1 << 14))
            found = list(between.finditer(window, tail))
        # What looks like a cut may be one between objects inside an element: further and further away others are tried.
        for back in range(min(_TRIES, len(found).bit_length())):
            match = found[-(1 << back)]
            yield match.start() + 1, match.end()


_VALUE = rb'\s*(?:"[^"\\]*"|[^\s"{}\[\],]+)\s*,\s*'
_BEGINNING = re.compile(rb'\s*\{\s*("[^"\\]*")\s*:(?:' + _VALUE + rb'("[^"\\]*")\s*:)?')


def _between(window: bytes) -> re.Pattern[bytes] | None:
    """What stands between two elements, if they begin with the keys of the first one; so they do nearly always.

    The second key tells jobs from objects inside them. Where it does not, the splitter finds the cuts.
    """
    match = _BEGINNING.match(window)
    if match is None:
        return None
    second = _VALUE + re.escape(match[2]) + rb"\s*:" if match[2] else b""
    return re.compile(rb"\}(\s*,\s*)(?=\{\s*" + re.escape(match[1]) + rb"\s*:" + second + rb")")


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


def _walked(found: Scan, window: bytes, start: int, response: Response, *, at_end: bool) -> tuple[int, bool]:
    """Take a window element by element with the tolerant splitter: bytes taken, whether the list was closed."""
    taken = 0
    for span in spans(window):
        if span.closing and window[span.start] == ord("]"):
            return span.start, True
        if span.end > span.start:
            found.judge(window[span.start : span.end], start + span.start)
        elif span.closing or found.received or window[span.next - 1] != ord("]"):
            raise DataError(
                "E01",
                f"{response.name} is broken between two elements of its list, after {found.received} of them",
                next="fetch the answer again",
            )
        taken = span.next
    if at_end:
        raise DataError(
            "H19",
            f"{response.name} ends in the middle of its list, after {found.received} elements",
            next="fetch the answer again",
        )
    return taken, False


def _lines(response: Response, found: Scan) -> None:
    start, size = envelope.skip_mark(response), WINDOW
    while start < response.blob.size:
        window = read_window(response, start, size)
        at_end = start + len(window) >= response.blob.size
        cut = len(window) if at_end else window.rfind(b"\n") + 1
        if cut == 0:
            size *= 2
            continue
        if not _proved_lines(found, window, cut, start):
            _judged_lines(found, window[:cut], start)
        start, size = start + cut, WINDOW
    if found.refused and not found.ids and all(r.rule in ("broken_json", "not_an_object") for r in found.refused):
        raise DataError(
            "E03",
            f"{response.name} holds no job on any of its {found.received} lines",
            next="name a JSON document .json, and lines of JSON .ndjson",
        )


def _proved_lines(found: Scan, window: bytes, cut: int, start: int) -> bool:
    """Take the lines up to `cut` if msgspec proves that each is one value; without copying them."""
    try:
        heads = _head.decode_lines(memoryview(window)[:cut])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    starts, lengths, at = [], [], 0
    while at < cut:
        end = window.find(b"\n", at, cut)
        end = cut if end < 0 else end
        # No value can go on over `}` newline `{`; with as many values as lines, each line is one value.
        if window[at] != _OPEN or window[end - 1] != _CLOSE:
            return False
        starts.append(start + at)
        lengths.append(end - at)
        at = end + 1
    if len(heads) != len(starts):
        return False
    found.extend([head.id for head in heads], starts, lengths)
    return True


def _judged_lines(found: Scan, window: bytes, start: int) -> None:
    """Take the lines one by one, each on its own."""
    for piece in window.removesuffix(b"\n").split(b"\n"):
        if bare := piece.strip():
            found.judge(bare, start + piece.index(bare[:1]))
        start += len(piece) + 1
