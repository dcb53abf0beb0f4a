"""Finds personal data in raw bytes: the keys that the contracts mark as personal, and their values.

Keys count however they are escaped, also in malformed JSON, in JSON within a string, and as Python prints them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from ftetl.contract import people
from ftetl.raw import json_tokens, strict_json


class PersonalValue(NamedTuple):
    """A value to replace."""

    start: int
    end: int
    text: bytes
    template: str  # how to write the replacement: `%s` stands for it


class IncompleteValueError(Exception):
    """The window ends before the value does."""


def find_keys(raw: bytes) -> Iterator[re.Match[bytes]]:
    """The personal keys, and what looks like one; not in order."""
    yield from _key_pattern(b"\\u00" in raw).finditer(raw)
    if b"'" in raw:
        yield from _python_key_pattern().finditer(raw)


@cache
def _key_pattern(escaped: bool) -> re.Pattern[bytes]:
    # Most windows hold no escaped letter, and plain keys are found ten times as fast.
    keys = (json_tokens.escaped_key_pattern(key) if escaped else key.encode() for key in sorted(people()))
    # With the value, if that is a plain string, as nearly all are.
    plain_value = rb'[ \t]*:[ \t]*("([^"\\\x00-\x1f]+)")(?=[,}])'
    return re.compile(rb'"(?:' + b"|".join(keys) + rb')(\\*)"(?:' + plain_value + b")?")


@cache
def _python_key_pattern() -> re.Pattern[bytes]:
    """The keys as Python prints them, in lines that are not JSON."""
    return re.compile(rb"'(?:" + b"|".join(key.encode() for key in sorted(people())) + rb")'")


# Between a key and its value; in a malformed document the colon may be missing. By whether there is one job per line.
_COLON = {
    lines: re.compile(rb"[%s]*(?::[%s:]*|(?=[\"0-9]))" % (space, space))
    for lines, space in ((False, rb" \t\r\n"), (True, rb" \t\r"))
}
_SPACE = {False: re.compile(rb"[ \t\r\n]*"), True: re.compile(rb"[ \t\r]*")}
_TAIL = re.compile(rb"[^,}\]\r\n]*")  # in malformed JSON, the rest of a value after what looks like its end
_INNER_COLON = re.compile(rb"[ \t]*:?[ \t]*")
_INNER_BARE = re.compile(rb"(?![{\[])[^\s,;}\])\"'\\]*")
_PYTHON_STRING = re.compile(rb"'((?:[^'\"\\\n]|\\[^\"\n])*)'?")
_MAX_BACKSLASHES = 64  # before a quote: no string is nested more deeply
_STRING = '"%s"'
_EMPTY = (b"", b"null", b'""', b"None")


def find_value(raw: bytes, key: re.Match[bytes], *, lines: bool, last: bool) -> PersonalValue | None:
    """The value of a personal key; None if there is none, or it is empty.

    Args:
        raw: The window.
        key: A match of `find_keys`.
        lines: Whether there is one job per line: then a value ends with its line.
        last: Whether the window is the last one; any other may end before the value does.

    Raises:
        IncompleteValueError: The window ends before the value does.
    """
    if not key.re.groups:
        return _value_in_string(raw, key.end(), _PYTHON_STRING, "'", last=last)
    slashes = len(key[1])
    before = raw[max(0, key.start() - _MAX_BACKSLASHES) : key.start()]
    if len(before) - len(before.rstrip(b"\\")) != slashes:
        return None  # the end, or the beginning, of a longer string
    if slashes:
        quote = "\\" * slashes + '"'
        return _value_in_string(raw, key.end(1) + 1, _escaped_string(slashes), quote, last=last)
    if key[2] is not None:
        return PersonalValue(key.start(2), key.end(2), key[3], _STRING)
    return _json_value(raw, key.end(), lines=lines, last=last)


def _json_value(raw: bytes, key_end: int, *, lines: bool, last: bool) -> PersonalValue | None:
    """The value after a key, as complete as malformed JSON allows."""
    space, colon = _SPACE[lines].match(raw, key_end), _COLON[lines].match(raw, key_end)
    assert space is not None  # the pattern also matches nothing
    if not last and len(raw) in (space.end(), colon and colon.end()):
        raise IncompleteValueError
    if colon is None:
        return None
    start = colon.end()
    if lines:
        stop = raw.find(b"\n", start)
        if stop < 0 and not last:
            raise IncompleteValueError
        end = start + json_tokens.end_of_value(raw[start : stop if stop >= 0 else len(raw)], 0)
    else:
        end = json_tokens.end_of_value(raw, start)
    tail = _TAIL.match(raw, end)
    assert tail is not None  # as above
    if tail.end() == len(raw) and not last:
        raise IncompleteValueError
    value = raw[start : tail.end()].rstrip()
    return None if value in _EMPTY else PersonalValue(start, start + len(value), _decoded(value), _STRING)


def _value_in_string(
    raw: bytes, key_end: int, quoted: re.Pattern[bytes], quote: str, *, last: bool
) -> PersonalValue | None:
    """The value after a key in JSON within a string, or as Python prints it; never beyond that string."""
    colon = _INNER_COLON.match(raw, key_end)
    assert colon is not None  # as above
    start = colon.end()
    if not last and len(raw) - start <= len(quote):
        raise IncompleteValueError
    if b":" not in colon.group():
        return None
    is_quoted = raw.startswith(quote.encode(), start)
    value = (quoted if is_quoted else _INNER_BARE).match(raw, start)
    if value is None:
        return None
    if value.end() == len(raw) and not last:
        raise IncompleteValueError
    text = value[1] if is_quoted else value.group()
    return None if text in _EMPTY else PersonalValue(start, value.end(), text, f"{quote}%s{quote}")


@cache
def _escaped_string(slashes: int) -> re.Pattern[bytes]:
    """A string in JSON within a string: its quotes have this many backslashes, and quotes in it have more."""
    quote = rb"\\{%d}\"" % slashes
    return re.compile(quote + rb"((?:[^\"\\\n]|\\+[^\"\\\n]|\\{%d,}\")*)(?:%s)?" % (slashes + 1, quote))


def _decoded(value: bytes) -> bytes:
    """The text of a value, the same however it is escaped."""
    if not value.startswith((b'"', b"[", b"{")):
        return value
    if value.startswith(b'"') and b"\\" not in value:
        return value[1:].removesuffix(b'"')
    try:
        if value.startswith(b'"'):
            return str(json.loads(value)).encode("utf-8", "surrogatepass")
        return strict_json.compact_json(strict_json.parse(value), canonical=True).encode()
    except (ValueError, strict_json.RefusedError):
        return value


def number_email_keys(
    raw: bytes, start: int, stop: int, at_sign: re.Pattern[bytes]
) -> tuple[dict[int, int], int | None]:
    """The keys that are e-mail addresses, by offset, numbered within their object; and where the first object ends."""
    counts, numbers = [0], dict[int, int]()
    for token in json_tokens.KEY_OR_BRACKET.finditer(raw, start, stop):
        bracket = raw[token.start()]
        if bracket in b"[{":
            counts.append(0)
        elif bracket in b"]}":
            counts.pop()
            if not counts:
                return numbers, token.end()
        elif token[2] is not None and at_sign.search(token[1]):
            counts[-1] += 1
            numbers[token.start()] = counts[-1]
    return numbers, None
