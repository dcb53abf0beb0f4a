"""The bytes of an answer without people's data: rewritten once, at the door, before anything else looks at them.

The values of the keys that name a person are replaced as a whole, and every e-mail address wherever it stands; all
other bytes stay as they are. Knows where a value begins and ends from `named` and `addresses`, and not what stands in
its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from ftetl.extract.privacy import personal_keys
from ftetl.extract.privacy.personal_keys import CutError
from ftetl.raw import emails

DROPPED = "***"  # what stands for an address inside of a text
WINDOW = 4 << 20  # bytes that are looked at together
LONGEST = 64 << 20  # bytes of one value: what is longer has no end
_HOLD = 2 * emails.REACH  # bytes at the end of a window that may be the beginning of something

Replace = Callable[[bytes], str | None]  # what stands for a text; nothing where people's data is dropped
_Found = tuple[int, int, str]  # from where to where, and what stands there instead


class EndlessError(Exception):
    """A value is longer than any that can be held."""


class Redactor:
    """Rewrites answers; what comes out is the same however the bytes came in pieces."""

    def __init__(self, replace: Replace) -> None:
        self._replace = replace

    def redact(self, raw: bytes, *, lines: bool = False) -> bytes:
        """These bytes, rewritten; with `lines`, no value goes on in the next line."""
        return _Pass(raw, self._replace, lines=lines, last=True).done()[0]

    def redact_stream(self, pieces: Iterable[bytes], *, lines: bool = False) -> Iterator[bytes]:
        """The bytes in these pieces, rewritten, a window at a time.

        Raises:
            EndlessError: A value is longer than `LONGEST`.
        """
        waiting: list[bytes] = []
        size, wanted = 0, WINDOW
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size < wanted:
                continue
            window = b"".join(waiting)
            done, at = _Pass(window, self._replace, lines=lines, last=False).done()
            yield done
            waiting, size = [window[at:]], size - at
            if size > LONGEST:
                raise EndlessError
            wanted = max(WINDOW, 2 * size)  # for a value that is larger than the window
        yield _Pass(b"".join(waiting), self._replace, lines=lines, last=True).done()[0]


class _Pass:
    """One look at one window; without `last` more bytes follow it."""

    def __init__(self, raw: bytes, replace: Replace, *, lines: bool, last: bool) -> None:
        self._raw, self._replace, self._lines, self._last = raw, replace, lines, last
        self._final = len(raw) if last else max(0, len(raw) - _HOLD)  # up to here more bytes can change nothing
        self._numbers: dict[int, int] = {}  # of keys that are addresses, by where they begin
        self._numbered = 0  # up to where they are counted

    def done(self) -> tuple[bytes, int]:
        """The window rewritten as far as more bytes cannot change it, and how far that is."""
        raw, last = self._raw, self._last
        sure = len(raw) if last else max(0, len(raw) - _HOLD // 2)  # up to here all of an address is in the window
        parts: list[bytes] = []
        done = seen = 0
        for start, behind, key in _candidates(raw):
            if start < done:  # inside of what was replaced as a whole
                continue
            if start >= sure:
                break
            try:
                if key is not None:
                    found = self._value(key)
                else:
                    found = self._address(start, behind, done, max(done, seen))
                    seen = behind
            except CutError:
                self._final = min(self._final, start)
                break
            if found is not None:
                parts += (raw[done : found[0]], found[2].encode())
                done = found[1]
        end = max(done, self._final)
        while not last and end > done and raw[end - 1 : end] == b"\\":  # no escape is cut
            end -= 1
        parts.append(raw[done:end])
        return b"".join(parts), end

    def _value(self, key: re.Match[bytes]) -> _Found | None:
        found = personal_keys.value(self._raw, key, lines=self._lines, last=self._last)
        if found is None:
            return None
        low, high, text, form = found
        shown = self._replace(text)
        return low, high, "null" if shown is None else form % shown

    def _address(self, start: int, end: int, done: int, low: int) -> _Found | None:
        found = emails.email_around(self._raw, start, end, low)
        if found is None:
            return None
        low, high, text = found
        shown = self._replace(text)
        if shown is None:
            begin = _key_begin(self._raw, max(done, start - emails.REACH), start, end)
            number = 1 if begin is None else self._number(begin)
            shown = DROPPED if number == 1 else f"{DROPPED}{number}"
        return low, high, shown

    def _number(self, begin: int) -> int:
        """How many keys of this object are addresses, up to the one that begins here: else two would be the same."""
        if begin >= self._numbered:
            stop = self._raw.find(b"\n", begin) if self._lines else -1
            end = stop if stop >= 0 else len(self._raw)
            numbers, closed = personal_keys.counted(self._raw, begin, end, is_address=emails.AT_SIGN)
            if not self._last and (closed or end) > self._final:
                self._final = min(self._final, begin)
                raise CutError
            self._numbers |= numbers
            self._numbered = closed or end
        return self._numbers.get(begin, 1)


def _candidates(raw: bytes) -> list[tuple[int, int, re.Match[bytes] | None]]:
    """The places to look at, in order: keys, and the signs that addresses have in their middle."""
    found: list[tuple[int, int, re.Match[bytes] | None]] = [(k.start(), k.end(), k) for k in personal_keys.keys(raw)]
    found += ((start, end, None) for start, end in emails.at_signs(raw))
    found.sort(key=lambda place: place[:2])
    return found


_REST_OF_KEY = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"\s*:', re.DOTALL)


def _key_begin(raw: bytes, low: int, start: int, end: int) -> int | None:
    """Where the key begins that this part of a text is in; nothing where it is in no key."""
    if not _REST_OF_KEY.match(raw, end, end + emails.REACH):
        return None
    begin = raw.rfind(b'"', low, start)
    while begin > 0 and raw[begin - 1] == ord("\\"):
        begin = raw.rfind(b'"', low, begin)
    return begin if begin >= 0 else None
