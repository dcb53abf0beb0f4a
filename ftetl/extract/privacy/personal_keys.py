"""Where people are named in raw bytes: keys that the contracts mark, and the values that they have.

Keys count however they are spelled, also in broken JSON, in JSON inside of a text, and as Python writes them. Knows
the contracts, not what is put in the place of a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache

from ftetl.contract import people
from ftetl.raw import json_tokens, strict_json

Found = tuple[int, int, bytes, str]  # from where to where, the text, and how to write what stands for it


class CutError(Exception):
    """The window ends before the value does."""


def keys(raw: bytes) -> Iterator[re.Match[bytes]]:
    """The keys that name people, or what looks like one; not in order."""
    yield from _keys(b"\\u00" in raw).finditer(raw)
    if b"'" in raw:
        yield from _other_keys().finditer(raw)


@cache
def _keys(escaped: bool) -> re.Pattern[bytes]:
    # Most windows hold no escaped letter, and plain words are found ten times as fast.
    words = (json_tokens.escaped_key_pattern(key) if escaped else key.encode() for key in sorted(people()))
    # With the value, where that is a plain text, as nearly all are.
    plain = rb'[ \t]*:[ \t]*("([^"\\\x00-\x1f]+)")(?=[,}])'
    return re.compile(rb'"(?:' + b"|".join(words) + rb')(\\*)"(?:' + plain + b")?")


@cache
def _other_keys() -> re.Pattern[bytes]:
    """As Python writes them, in lines that are no JSON."""
    return re.compile(rb"'(?:" + b"|".join(key.encode() for key in sorted(people())) + rb")'")


# What may stand between a key and its value; in a broken document the colon may be missing.
_COLON = {
    lines: re.compile(rb"[%s]*(?::[%s:]*|(?=[\"0-9]))" % (space, space))
    for lines, space in ((False, rb" \t\r\n"), (True, rb" \t\r"))
}
_SPACE = {False: re.compile(rb"[ \t\r\n]*"), True: re.compile(rb"[ \t\r]*")}
_TAIL = re.compile(rb"[^,}\]\r\n]*")  # what goes on behind a value is a part of it that broke off
_INNER_COLON = re.compile(rb"[ \t]*:?[ \t]*")
_INNER_BARE = re.compile(rb"(?![{\[])[^\s,;}\])\"'\\]*")
_INNER_QUOTED = re.compile(rb"'((?:[^'\"\\\n]|\\[^\"\n])*)'?")
_MANY = 64  # backslashes before a quote: nobody nests texts as deep as that
_TEXT = '"%s"'
_NOBODY = (b"", b"null", b'""', b"None")


def value(raw: bytes, key: re.Match[bytes], *, lines: bool, last: bool) -> Found | None:
    """The value of a key; nothing where there is none, or nobody in it.

    With `lines` it does not go on in the next line; without `last` the window may end before it does.

    Raises:
        CutError: The window ends before the value does.
    """
    if not key.re.groups:
        return _inner(raw, key.end(), _INNER_QUOTED, "'", last=last)
    slashes = len(key[1])
    before = raw[max(0, key.start() - _MANY) : key.start()]
    if len(before) - len(before.rstrip(b"\\")) != slashes:
        return None  # the end, or the beginning, of a longer text
    if slashes:
        return _inner(raw, key.end(1) + 1, _inner_string(slashes), "\\" * slashes + '"', last=last)
    if key[2] is not None:
        return key.start(2), key.end(2), key[3], _TEXT
    return _outer(raw, key.end(), lines=lines, last=last)


def _outer(raw: bytes, at: int, *, lines: bool, last: bool) -> Found | None:
    """The value behind a key that ends at a place, as whole as broken JSON lets it be."""
    space, colon = _SPACE[lines].match(raw, at), _COLON[lines].match(raw, at)
    assert space is not None  # it matches nothing as well
    if not last and len(raw) in (space.end(), colon and colon.end()):
        raise CutError
    if colon is None:
        return None
    start = colon.end()
    if lines:
        stop = raw.find(b"\n", start)
        if stop < 0 and not last:
            raise CutError
        end = start + json_tokens.end_of_value(raw[start : stop if stop >= 0 else len(raw)], 0)
    else:
        end = json_tokens.end_of_value(raw, start)
    tail = _TAIL.match(raw, end)
    assert tail is not None  # as above
    if tail.end() == len(raw) and not last:
        raise CutError
    said = raw[start : tail.end()].rstrip()
    return None if said in _NOBODY else (start, start + len(said), _text(said), _TEXT)


def _inner(raw: bytes, at: int, quoted: re.Pattern[bytes], quote: str, *, last: bool) -> Found | None:
    """The value behind a key in a text that is JSON itself, or as Python writes it: nothing here ends that text."""
    colon = _INNER_COLON.match(raw, at)
    assert colon is not None  # as above
    start = colon.end()
    if not last and len(raw) - start <= len(quote):
        raise CutError
    if b":" not in colon.group():
        return None
    in_quotes = raw.startswith(quote.encode(), start)
    said = (quoted if in_quotes else _INNER_BARE).match(raw, start)
    if said is None:
        return None
    if said.end() == len(raw) and not last:
        raise CutError
    text = said[1] if in_quotes else said.group()
    return None if text in _NOBODY else (start, said.end(), text, f"{quote}%s{quote}")


@cache
def _inner_string(slashes: int) -> re.Pattern[bytes]:
    """A string in a text that is JSON itself: between quotes with so many backslashes, inside which are more."""
    quote = rb"\\{%d}\"" % slashes
    return re.compile(quote + rb"((?:[^\"\\\n]|\\+[^\"\\\n]|\\{%d,}\")*)(?:%s)?" % (slashes + 1, quote))


def _text(value: bytes) -> bytes:
    """What a value says, the same however it is spelled."""
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


_TOKENS = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?)|[][{}]', re.DOTALL)


def counted(raw: bytes, begin: int, stop: int, *, is_address: re.Pattern[bytes]) -> tuple[dict[int, int], int | None]:
    """The keys that are addresses, each counted in its object, and where the object ends that is open at `begin`."""
    open_ones, numbers = [0], dict[int, int]()
    for token in _TOKENS.finditer(raw, begin, stop):
        mark = raw[token.start()]
        if mark in b"[{":
            open_ones.append(0)
        elif mark in b"]}":
            open_ones.pop()
            if not open_ones:
                return numbers, token.end()
        elif token[2] is not None and is_address.search(token[1]):
            open_ones[-1] += 1
            numbers[token.start()] = open_ones[-1]
    return numbers, None
