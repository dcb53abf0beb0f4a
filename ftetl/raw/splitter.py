"""The tolerant splitter: the elements of a JSON list in bytes that no parser takes whole.

It follows strings, brackets and commas only, so NaN, repeated keys, broken escapes and any depth inside one element
do not cost its neighbours. Slow (about 15 MB/s), and so asked only where msgspec refuses. Knows nothing of jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# A string that the window cuts goes on to its end: what looks like a bracket in it is none.
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[][{},]', re.DOTALL)


@dataclass(frozen=True)
class Span:
    """One element: from `start` to `end`, the next one begins at `next`; `closing` is the bracket behind the last."""

    start: int
    end: int
    next: int
    closing: bool = False


def spans(window: bytes, begin: int = 0) -> Iterator[Span]:
    """The complete elements of a window that is inside a list, and at `begin` before an element; or of an object.

    Yields the spans without surrounding white space, then, if the window holds it, the closing bracket, of whichever
    kind. An element that the window cuts is not yielded; where nothing stands between two commas, the span is empty.
    """
    depth, start = 0, begin
    for token in _TOKENS.finditer(window, begin):
        mark = window[token.start()]
        if mark in b"[{":
            depth += 1
        elif depth == 0 and mark in b",]}":
            yield _trim(window, start, token.start(), token.end())
            start = token.end()
            if mark in b"]}":
                yield Span(token.start(), token.start(), token.end(), closing=True)
                return
        elif mark in b"]}":
            depth -= 1


def _trim(window: bytes, start: int, end: int, after: int) -> Span:
    raw = window[start:end]
    bare = raw.strip()
    start += len(raw) - len(raw.lstrip())
    return Span(start, start + len(bare), after)
