"""E-mail addresses in raw bytes: where each begins and ends, and its text, however JSON or a URL has escaped it."""

from __future__ import annotations

import re
from collections.abc import Iterator

REACH = 2048  # bytes on each side of the @ that may belong to an address, every letter escaped
_LONGEST = 256  # letters on each side
AT_SIGN = re.compile(rb"@|\\+u0040|%40")
_ESCAPED_AT_SIGN = re.compile(rb"\\+u0040|%40")
# Matched backwards from the @: what cannot be in an address ends it, whatever is escaped around it.
_NAME_BACKWARDS = re.compile(rb'[^\x00-\x20"<>()\[\]{},;:=&?|/@`]*')
_DOMAIN_RAW = re.compile(rb"(?:[\w.\x80-\xff-]|\\+u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2})*", re.ASCII)
_UNITS = re.compile(rb"\\+u[0-9A-Fa-f]{4}|\\.|%[0-9A-Fa-f]{2}|[\xc2-\xf4][\x80-\xbf]+|.", re.DOTALL)
_NAME = re.compile(rf"""[^\s"<>()\[\]{{}},;:=&?|/@`\\]{{1,{_LONGEST}}}""")
_NO_START = re.compile(r"\W*")
_DOMAIN = re.compile(r"(?:[\w-]+\.)+[^\W\d_][\w-]+|\d+(?:\.\d+){3}")


def at_signs(raw: bytes) -> Iterator[tuple[int, int]]:
    """The start and end of each @."""
    at = raw.find(b"@")
    while at >= 0:
        yield at, at + 1
        at = raw.find(b"@", at + 1)
    if b"u0040" in raw or b"%40" in raw:
        yield from (match.span() for match in _ESCAPED_AT_SIGN.finditer(raw))


def mask_emails(text: str, mask: str) -> str:
    """The text with a mask in the place of each address."""
    raw = text.encode("utf-8", "surrogatepass")
    parts: list[bytes] = []
    done = 0
    for start, end in sorted(at_signs(raw)):
        if start >= done and (email := email_around(raw, start, end, done)) is not None:
            parts += (raw[done : email[0]], mask.encode())
            done = email[1]
    return (b"".join(parts) + raw[done:]).decode("utf-8", "surrogatepass")


def email_around(raw: bytes, start: int, end: int, low: int) -> tuple[int, int, bytes] | None:
    """The start, the end and the text of the address around an @, which cannot begin before `low`."""
    after = _DOMAIN_RAW.match(raw, end, end + REACH)
    assert after is not None  # it also matches nothing
    right, ends = _unescaped(after.group())
    domain = _DOMAIN.match(right)
    if domain is None:
        return None
    before = _NAME_BACKWARDS.match(raw[max(low, start - REACH) : start][::-1])
    assert before is not None
    left, lengths = _unescaped(before.group()[::-1])
    backwards = _NAME.match(left[::-1])
    if backwards is None:
        return None
    name = backwards.group()[::-1]
    no_start = _NO_START.match(name)
    name = name[no_start.end() if no_start else 0 :]
    if not name:
        return None
    first = start - (lengths[-1] - (lengths[-len(name) - 1] if len(name) < len(lengths) else 0))
    text = f"{name}@{domain.group()}".encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return first, end + ends[domain.end() - 1], text.encode()


def _unescaped(raw: bytes) -> tuple[str, list[int]]:
    """The letters of the bytes, and where in the bytes each of them ends."""
    if raw.isascii() and b"\\" not in raw and b"%" not in raw:
        return raw.decode("ascii"), list(range(1, len(raw) + 1))
    letters: list[str] = []
    ends: list[int] = []
    for unit in _UNITS.finditer(raw):
        for letter in _letters(unit.group()):
            letters.append(letter)
            ends.append(unit.end())
    return "".join(letters), ends


def _letters(unit: bytes) -> str:
    if unit.startswith(b"\\"):
        escape = unit.lstrip(b"\\")
        return chr(int(escape[1:], 16)) if len(escape) == 5 else " "
    if unit.startswith(b"%") and len(unit) == 3:
        code = int(unit[1:], 16)
        return chr(code) if code < 0x80 else "\ufffd"
    return unit.decode("utf-8", "replace")
