"""Builds the index of a response: where each job lies, without decoding it.

Every byte is accounted for: a job, a refused element, or the envelope around them. A document is read window by window,
each cut between two elements; msgspec proves the cut, because a window that is valid JSON between brackets starts and
ends at the depth of the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from ftetl.contract import tables
from ftetl.errors import DataError
from ftetl.raw import envelope, foreign, strict_json
from ftetl.raw.element import JobHead, Scan, kinds_of
from ftetl.raw.json_tokens import split_elements
from ftetl.raw.response import Response, Shape, read_window

WINDOW = 8 << 20  # bytes; large enough that a window's fixed costs vanish, small enough for a bounded memory
_OPEN, _CLOSE = b"{}"
_MAX_CUTS = 8  # tried in one window before the splitter walks it


class _SingleJob(JobHead):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_job_head = msgspec.json.Decoder(JobHead)
_single_job = msgspec.json.Decoder(_SingleJob)
_job_heads = msgspec.json.Decoder(list[JobHead])
_raw_elements = msgspec.json.Decoder(list[msgspec.Raw])
_FETCH_AGAIN = "fetch the response again"
_SEPARATOR = re.compile(rb"\s*,\s*")


def scan_response(response: Response) -> Scan:
    """The index of a response; one that it has of the same bytes is not built again.

    Raises:
        DataError: The response is neither a list of Together's jobs nor one job, or its list is not complete.
    """
    if response.scanned is not None and response.scanned[0] is response.blob:
        scan: Scan = response.scanned[1]
        return scan
    scan = Scan()
    if response.shape is Shape.LINES:
        scan.is_bare = True
        _scan_lines(response, scan)
    else:
        _scan_document(response, scan)
    scan.refuse_bad_ids()
    foreign.require_jobs(response, scan)
    return scan


def scan_elements(response: Response) -> Scan:
    """The index of the list in a response of another endpoint, whose elements have an `id` as jobs have.

    Raises:
        DataError: The response has no list, or one that is not complete.
    """
    scan = Scan()
    _scan_document(response, scan)
    if not scan.is_list:
        raise DataError("R07", f"{response.name} has no list in `data`", next=_FETCH_AGAIN)
    scan.refuse_bad_ids()
    return scan


def scan_single_job(response: Response, job_id: str) -> Scan | None:
    """The index of a response that is clearly this one job; None where `scan_response` has to look closer."""
    raw = response.blob.read(0, response.blob.size)
    try:
        head = _single_job.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    if head.id != job_id or head.data is not msgspec.UNSET or foreign.OBJECTS & kinds_of([head]):
        return None
    scan = Scan(is_detail=True)
    scan.add(job_id, len(raw) - len(raw.lstrip()), len(raw.strip()))
    return scan


def _scan_document(response: Response, scan: Scan) -> None:
    opening = envelope.read_opening(response)
    if opening.single:
        raw = response.blob.read(opening.start, response.blob.size - opening.start).rstrip()
        scan.add_element(raw, opening.start)
        if scan.refused:
            envelope.require_uncut(response, raw)
        scan.is_detail = response.detail or _has_event_list(raw)
        return
    scan.is_list, scan.is_bare = True, opening.bare
    if not opening.empty:
        end = scan_list(response, opening.start, scan)
        envelope.check_closing(response, opening, end, scan.received)


def _has_event_list(raw: bytes) -> bool:
    """Whether one job has a list of events, even an empty one; a list's item that was saved alone has none."""
    try:
        return isinstance(strict_json.parse(raw).get(tables()["events"].rows), list)
    except (strict_json.RefusedError, AttributeError):
        return False


def scan_list(response: Response, start: int, scan: Scan) -> int:
    """Add the elements of the list that begins at `start`; the offset of its closing bracket.

    Raises:
        DataError: The list is invalid between two elements, or ends in the middle.
    """
    size, walked_size = WINDOW, 0
    while True:
        window = read_window(response, start, size)
        at_end = start + len(window) >= response.blob.size
        taken = _take_proved(scan, window, start, at_end=at_end)
        closed = at_end
        # Walking is slow: an element larger than the window is walked again only when the window has grown much.
        if taken is None and (at_end or size >= 8 * walked_size):
            taken, closed = _take_walked(scan, window, start, response, at_end=at_end)
            walked_size = size
        if not taken and not closed:
            size *= 2  # one element is larger than the window
            continue
        start += taken or 0
        if closed:
            return start
        size, walked_size = WINDOW, 0


def _take_proved(scan: Scan, window: bytes, start: int, *, at_end: bool) -> int | None:
    """Add a window's elements if msgspec proves that it can be cut; how many bytes these are, else None."""
    for cut, taken in _possible_cuts(window, at_end=at_end):
        body = b"[" + window[:cut] + b"]"
        try:
            elements = _raw_elements.decode(body)
        except msgspec.DecodeError:
            continue
        except RecursionError:
            return None
        if not elements and scan.received:
            return None  # a comma and nothing after it
        try:
            heads: list[JobHead] | None = _job_heads.decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            heads = None
        _add_elements(scan, window, start, elements, heads)
        return taken
    return None


def _possible_cuts(window: bytes, *, at_end: bool) -> Iterator[tuple[int, int]]:
    """Places where the window may be cut: (end of the last element, start of what follows)."""
    if at_end:
        cut = len(window)
        for _ in range(_MAX_CUTS):
            cut = window.rfind(b"]", 0, cut)
            if cut < 0:
                return
            yield cut, cut
    elif boundary := _boundary_pattern(window):
        matches: list[re.Match[bytes]] = []
        tail = len(window)
        while not matches and tail > 0:
            tail = max(0, len(window) - 8 * max(len(window) - tail, 1 << 14))
            matches = list(boundary.finditer(window, tail))
        # A match may lie between two objects inside an element: then others are tried, further and further away.
        for exponent in range(min(_MAX_CUTS, len(matches).bit_length())):
            match = matches[-(1 << exponent)]
            yield match.start() + 1, match.end()


_VALUE = rb'\s*(?:"[^"\\]*"|[^\s"{}\[\],]+)\s*,\s*'
_BEGINNING = re.compile(rb'\s*\{\s*("[^"\\]*")\s*:(?:' + _VALUE + rb'("[^"\\]*")\s*:)?')


def _boundary_pattern(window: bytes) -> re.Pattern[bytes] | None:
    """A pattern of the bytes between two elements that begin with the same two keys as the first one.

    The second key tells jobs from objects inside them. Where it does not, the splitter finds the cuts.
    """
    match = _BEGINNING.match(window)
    if match is None:
        return None
    second = _VALUE + re.escape(match[2]) + rb"\s*:" if match[2] else b""
    return re.compile(rb"\}(\s*,\s*)(?=\{\s*" + re.escape(match[1]) + rb"\s*:" + second + rb")")


def _add_elements(
    scan: Scan, window: bytes, start: int, elements: list[msgspec.Raw], heads: list[JobHead] | None
) -> None:
    scan.kinds |= kinds_of(heads or ())
    at = len(window) - len(window.lstrip())
    for index, raw in enumerate(elements):
        length = memoryview(raw).nbytes
        if heads is not None:
            scan.add(heads[index].id, start + at, length)
        else:
            scan.add_element(bytes(raw), start + at)
        at += length
        separator = _SEPARATOR.match(window, at)
        at = separator.end() if separator else at


def _take_walked(scan: Scan, window: bytes, start: int, response: Response, *, at_end: bool) -> tuple[int, bool]:
    """Add a window's elements one by one with the splitter: (bytes taken, whether the list was closed)."""
    taken = 0
    for span in split_elements(window):
        if span.closing and window[span.start] == ord("]"):
            return span.start, True
        if span.end > span.start:
            scan.add_element(window[span.start : span.end], start + span.start)
        elif span.closing or scan.received or window[span.next - 1] != ord("]"):
            what = f"{response.name} is invalid between two elements of its list, after {scan.received} of them"
            raise DataError("E01", what, next=_FETCH_AGAIN)
        taken = span.next
    if at_end:
        what = f"{response.name} ends in the middle of its list, after {scan.received} elements"
        raise DataError("H19", what, next=_FETCH_AGAIN)
    return taken, False


def _scan_lines(response: Response, scan: Scan) -> None:
    start, size = envelope.skip_byte_order_mark(response), WINDOW
    while start < response.blob.size:
        window = read_window(response, start, size)
        at_end = start + len(window) >= response.blob.size
        cut = len(window) if at_end else window.rfind(b"\n") + 1
        if cut == 0:
            size *= 2
            continue
        if not _take_proved_lines(scan, window, cut, start):
            _take_lines_one_by_one(scan, window[:cut], start)
        start, size = start + cut, WINDOW
    if scan.refused and not scan.ids and all(r.rule in ("broken_json", "not_an_object") for r in scan.refused):
        what = f"{response.name} has no job on any of its {scan.received} lines"
        raise DataError("E03", what, next="name a JSON document .json, and lines of JSON .ndjson")


def _take_proved_lines(scan: Scan, window: bytes, cut: int, start: int) -> bool:
    """Add the lines before `cut`, without copying them, if msgspec proves that each is one job."""
    try:
        heads = _job_head.decode_lines(memoryview(window)[:cut])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    starts, lengths, at = [], [], 0
    while at < cut:
        end = window.find(b"\n", at, cut)
        end = cut if end < 0 else end
        # No value can go on over `}` newline `{`: with as many values as lines, each line is one value.
        if window[at] != _OPEN or window[end - 1] != _CLOSE:
            return False
        starts.append(start + at)
        lengths.append(end - at)
        at = end + 1
    if len(heads) != len(starts):
        return False
    scan.extend([head.id for head in heads], starts, lengths)
    scan.kinds |= kinds_of(heads)
    return True


def _take_lines_one_by_one(scan: Scan, window: bytes, start: int) -> None:
    for line in window.removesuffix(b"\n").split(b"\n"):
        if bare := line.strip():
            scan.add_element(bare, start + line.index(bare[:1]))
        start += len(line) + 1
