"""Rewrites the bytes of a response without personal data, before anything else reads them.

Replaces the whole values of personal keys, and every e-mail address anywhere; all other bytes stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from ftetl.extract.privacy.personal_keys import IncompleteValueError, find_keys, find_value, number_email_keys
from ftetl.formatting import MASK
from ftetl.raw import emails

WINDOW = 4 << 20  # bytes that are rewritten together
LONGEST = 64 << 20  # bytes of one value: a longer one never ends
_HOLD = 2 * emails.REACH  # bytes at the end of a window in which a value or an address may begin

Replace = Callable[[bytes], str | None]  # the replacement of a text; None where personal data is dropped
_Replacement = tuple[int, int, str]  # start, end, and the text in their place


class UnterminatedValueError(Exception):
    """A value is longer than `LONGEST`."""


class Redactor:
    """Rewrites responses; the result does not depend on how the bytes are cut into pieces."""

    def __init__(self, replace: Replace) -> None:
        self._replace = replace

    def redact(self, raw: bytes, *, lines: bool = False) -> bytes:
        """These bytes, rewritten; with `lines`, a value ends with its line."""
        return _Window(raw, self._replace, lines=lines, last=True).rewrite()[0]

    def redact_stream(self, pieces: Iterable[bytes], *, lines: bool = False) -> Iterator[bytes]:
        """The bytes in these pieces, rewritten, a window at a time.

        Raises:
            UnterminatedValueError: A value is longer than `LONGEST`.
        """
        waiting: list[bytes] = []
        size, wanted = 0, WINDOW
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size < wanted:
                continue
            window = b"".join(waiting)
            rewritten, end = _Window(window, self._replace, lines=lines, last=False).rewrite()
            yield rewritten
            waiting, size = [window[end:]], size - end
            if size > LONGEST:
                raise UnterminatedValueError
            wanted = max(WINDOW, 2 * size)  # for a value that is larger than the window
        yield _Window(b"".join(waiting), self._replace, lines=lines, last=True).rewrite()[0]


class _Window:
    """A part of a response; without `last`, more bytes follow."""

    def __init__(self, raw: bytes, replace: Replace, *, lines: bool, last: bool) -> None:
        self._raw, self._replace, self._lines, self._last = raw, replace, lines, last
        self._final = len(raw) if last else max(0, len(raw) - _HOLD)  # up to here more bytes change nothing
        self._numbers: dict[int, int] = {}  # of keys that are addresses, by offset
        self._numbered = 0  # the offset up to which keys are numbered

    def rewrite(self) -> tuple[bytes, int]:
        """The window rewritten as far as more bytes cannot change it, and the offset up to which it is."""
        raw, last = self._raw, self._last
        complete = len(raw) if last else max(0, len(raw) - _HOLD // 2)  # an @ before it has its whole address here
        parts: list[bytes] = []
        done = seen = 0
        for start, end, key in _candidates(raw):
            if start < done:  # within a replaced value
                continue
            if start >= complete:
                break
            try:
                if key is not None:
                    replacement = self._replace_value(key)
                else:
                    replacement = self._replace_email(start, end, done, max(done, seen))
                    seen = end
            except IncompleteValueError:
                self._final = min(self._final, start)
                break
            if replacement is not None:
                parts += (raw[done : replacement[0]], replacement[2].encode())
                done = replacement[1]
        stop = max(done, self._final)
        while not last and stop > done and raw[stop - 1 : stop] == b"\\":  # never cut an escape
            stop -= 1
        parts.append(raw[done:stop])
        return b"".join(parts), stop

    def _replace_value(self, key: re.Match[bytes]) -> _Replacement | None:
        value = find_value(self._raw, key, lines=self._lines, last=self._last)
        if value is None:
            return None
        text = self._replace(value.text)
        return value.start, value.end, "null" if text is None else value.template % text

    def _replace_email(self, start: int, end: int, done: int, low: int) -> _Replacement | None:
        """The replacement of the address around an @, which cannot begin before `low`."""
        email = emails.email_around(self._raw, start, end, low)
        if email is None:
            return None
        email_start, email_end, email_text = email
        text = self._replace(email_text)
        if text is None:
            key_start = _start_of_key(self._raw, max(done, start - emails.REACH), start, end)
            number = 1 if key_start is None else self._number(key_start)
            text = MASK if number == 1 else f"{MASK}{number}"
        return email_start, email_end, text

    def _number(self, key_start: int) -> int:
        """The number of a key among the addresses that are keys of its object: two keys must not become equal."""
        if key_start >= self._numbered:
            line_end = self._raw.find(b"\n", key_start) if self._lines else -1
            stop = line_end if line_end >= 0 else len(self._raw)
            numbers, object_end = number_email_keys(self._raw, key_start, stop, emails.AT_SIGN)
            if not self._last and (object_end or stop) > self._final:
                self._final = min(self._final, key_start)
                raise IncompleteValueError
            self._numbers |= numbers
            self._numbered = object_end or stop
        return self._numbers.get(key_start, 1)


def _candidates(raw: bytes) -> list[tuple[int, int, re.Match[bytes] | None]]:
    """The start and end of each personal key and each @, in order, with the match of a key."""
    places: list[tuple[int, int, re.Match[bytes] | None]] = [(k.start(), k.end(), k) for k in find_keys(raw)]
    places += ((start, end, None) for start, end in emails.at_signs(raw))
    places.sort(key=lambda place: place[:2])
    return places


_REST_OF_KEY = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"\s*:', re.DOTALL)


def _start_of_key(raw: bytes, low: int, start: int, end: int) -> int | None:
    """The offset of the key that this part of a string belongs to; None if it is not in a key."""
    if not _REST_OF_KEY.match(raw, end, end + emails.REACH):
        return None
    quote = raw.rfind(b'"', low, start)
    while quote > 0 and raw[quote - 1] == ord("\\"):
        quote = raw.rfind(b'"', low, quote)
    return quote if quote >= 0 else None
