"""Finds secrets in text (`NAME=value`, `NAME: value`, `--name value`) and in pairs (`{"name": NAME, "value": ...}`)."""

from __future__ import annotations

import re

from ftetl.raw.secret_hints import ASSIGNED, NAME_KEY
from ftetl.raw.secret_names import KeyKind, classify_key

_ASSIGNED_AT = re.compile(ASSIGNED.encode())
_BEFORE = re.compile(rb"(?:[\w.-]+ )?[\w.-]*\Z")
_CHARACTER = rb"""(?:(?![,;][\w.-]+=)(?:\\+/|[^\s"'\\&<>]))"""
_BEGIN_OF_VALUE = re.compile(
    rb"""(?:(?:\\+["']|')(?=[^]},:\s]))?(?:(?i:bearer|basic|token|apikey|digest) +)?(%s{8,400})""" % _CHARACTER
)
_REST_OF_VALUE = re.compile(_CHARACTER + rb"*")
_PLACEHOLDER = re.compile(rb"\*\*\*|[$%{\[(]|[*xX.]+\Z")
_NUMBER = re.compile(rb"[\d.,:TZ+-]{1,30}")  # a count or a time
_LOOKS_RANDOM = re.compile(rb"[^a-z]*[a-z][^A-Z]*[A-Z]|[^A-Z]*[A-Z][^a-z]*[a-z]|\D*\d")
_LONG_ENOUGH = 8
_NO_PART = b".,;:)]}!?"  # of a value, at its end
_NEAR = 600  # bytes around a value in which its name is looked for
_NAME_MEMBER = rb"""%s([^"'\\]{1,100})\\*["']""" % NAME_KEY.encode()
_MEMBERS = rb"(?:[^{}]|\{[^{}]*\})*?"
_NAME_BEFORE = re.compile(rb"%s\s*,%s\Z" % (_NAME_MEMBER, _MEMBERS))
_NAME_AFTER = re.compile(rb"\s*,%s%s" % (_MEMBERS, _NAME_MEMBER))


def assigned(raw: bytes, at: int) -> tuple[int, int, str] | None:
    """Start, end and name of the value that the name at `at` is given in text, if that looks like a secret."""
    match = _ASSIGNED_AT.match(raw, at)
    if match is None:
        return None
    found = _BEGIN_OF_VALUE.match(raw, match.end())
    begin = found[1].rstrip(_NO_PART) if found else b""
    if found is None or len(begin) < _LONG_ENOUGH or not _LOOKS_RANDOM.match(begin) or _PLACEHOLDER.match(begin):
        return None
    name, meaning = _name_before(raw, at, match[0])
    if meaning is KeyKind.NOTHING or (meaning is KeyKind.TOKEN and _NUMBER.fullmatch(begin)):
        return None
    rest = _REST_OF_VALUE.match(raw, found.end())
    end = rest.end() if rest else found.end()
    return found.start(1), found.start(1) + len(raw[found.start(1) : end].rstrip(_NO_PART)), name


def _name_before(raw: bytes, at: int, matched: bytes) -> tuple[str, KeyKind]:
    before = _BEFORE.search(re.sub(rb"\\+(?:u[0-9a-fA-F]{4}|[nrt])", b"?", raw[max(0, at - 100) : at]))
    end = re.sub(rb"""[\s=:"',\\]+\Z""", b"", matched)
    words = ((before[0] if before else b"") + end).decode("ascii", "replace")
    meaning, last = classify_key(words), words.rpartition(" ")[2].lstrip("-.")
    # The word before `token` counts: `next token` is no secret.
    if meaning is KeyKind.NOTHING and classify_key(last) is not KeyKind.TOKEN:
        meaning = classify_key(last)
    return last, meaning


def name_before(raw: bytes, key: int) -> str | None:
    """What the object calls its value, whose key begins at `key`, if that stands before it."""
    found = _NAME_BEFORE.search(raw[max(0, key - _NEAR) : key])
    return found[1].decode("utf-8", "replace") if found else None


def name_after(raw: bytes, end: int) -> str | None:
    """What the object calls its value, which ends at `end`, if that stands behind it."""
    found = _NAME_AFTER.match(raw[end : end + _NEAR])
    return found[1].decode("utf-8", "replace") if found else None
