"""One raw element as Python objects, exactly: the reader of the careful road, and the writer of its JSON texts.

Numbers that Python would change (fractions, exponents, more than 18 digits, NaN) stay as their text, so that what is
written again says what was received. Knows no contract but the keys whose values are secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from ftetl.contract import tables

# Deeper than any job that makes sense and well below what Python and msgspec give up at (about 1,000, less the
# depth of the caller), so that the limit is the same wherever it is asked.
MAX_DEPTH = 200
MASK = "***"


class Num(str):
    """A number literal, kept as its text."""

    __slots__ = ()


class RefusedError(Exception):
    """The element is not one clean JSON value; `rule` is the quarantine's word for it."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[][{}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(raw: bytes, *, depth: int = 0) -> Any:
    """The value that the bytes are, with secrets masked; `depth` is how deep in its element it lies.

    Objects are dicts in the order of the bytes, whole numbers of up to 18 digits are ints, all other numbers `Num`.

    Raises:
        RefusedError: Broken UTF-8 or JSON, a repeated key, or absurd depth.
    """
    if not _shallow(raw, MAX_DEPTH - depth):
        raise RefusedError("too_deep")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("broken_utf8") from None
    try:
        return (_MASKING if names_secret(raw) else _DECODER).decode(text)
    except RecursionError:  # not reached below MAX_DEPTH, unless the caller's own stack is nearly full
        raise RefusedError("too_deep") from None
    except ValueError:
        raise RefusedError("broken_json") from None


def _shallow(raw: bytes, limit: int) -> bool:
    # Counting is cheap and settles nearly every job; only what has many brackets is walked.
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return True
    depth = 0
    for token in _TOKENS.finditer(raw):
        mark = token.group()[0]
        depth += (mark in b"[{") - (mark in b"]}")
        if depth > limit:
            return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RefusedError("duplicate_keys")
    return found


def _masked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = _object(pairs)
    for key in _secret_keys():
        if found.get(key) not in (None, ""):
            found[key] = MASK
    return found


def _integer(text: str) -> int | Num:
    return int(text) if len(text) <= 18 and text != "-0" else Num(text)


_DECODER, _MASKING = (
    json.JSONDecoder(object_pairs_hook=hook, parse_float=Num, parse_int=_integer, parse_constant=Num)
    for hook in (_object, _masked)
)


def _secret_keys() -> tuple[str, ...]:
    return tables()["jobs"].secrets


def compact(value: Any, *, canonical: bool = False) -> str:
    """The value as JSON text without white space; `canonical` sorts the keys, so that equal values give equal text."""
    parts: list[str] = []
    _write(value, parts.append, canonical)
    return "".join(parts)


def _write(value: Any, put: Any, canonical: bool) -> None:
    if isinstance(value, Num):
        put(str(value))
    elif isinstance(value, str):
        put(quote(value))
    elif isinstance(value, dict):
        items: Iterable[tuple[str, Any]] = sorted(value.items()) if canonical else value.items()
        mark = "{"
        for key, item in items:
            put(mark + quote(key) + ":")
            _write(item, put, canonical)
            mark = ","
        put("}" if mark == "," else "{}")
    elif isinstance(value, list):
        mark = "["
        for item in value:
            put(mark)
            _write(item, put, canonical)
            mark = ","
        put("]" if mark == "," else "[]")
    else:
        put(
            {None: "null", True: "true", False: "false"}.get(value)
            if value is None or value is True or value is False
            else str(value)
        )


def quote(text: str) -> str:
    """The text as a JSON string; lone surrogates, which UTF-8 cannot hold, stay as their escapes."""
    quoted = json.dumps(text, ensure_ascii=False)
    return _SURROGATE.sub(lambda m: f"\\u{ord(m.group()):04x}", quoted)


def mend(text: str) -> str:
    """The text with U+FFFD for each lone surrogate."""
    return _SURROGATE.sub("\ufffd", text)


def has_lone_surrogate(text: str) -> bool:
    """Whether UTF-8 cannot hold the text."""
    return _SURROGATE.search(text) is not None


def spelled(key: str) -> bytes:
    """A pattern of the key's text in JSON, however it is escaped."""
    return b"".join(rb"(?:%s|\\u(?i:%04x))" % (re.escape(c.encode()), ord(c)) for c in key)


def mask(raw: bytes, before: bytes = b"") -> bytes:
    """The bytes with the values of secret keys masked, also where they are no clean JSON.

    `before` is what stands before them, of which a secret key may be the last: then they begin with its value, unless
    they are an object, as an element is.
    """
    if before and not raw.startswith(b"{") and (key := _last_secret().search(before)):
        return mask(key[0] + raw)[len(key[0]) :]
    if not names_secret(raw):
        return raw
    found = bytearray()
    done = 0
    for match in _secrets().finditer(raw):
        if match.start() < done:  # inside a value that is masked as a whole
            continue
        end = end_of_value(raw, match.end())
        if raw[match.end() : end].strip() not in (b"", b"null", b'""'):
            found += raw[done : match.end()] + b'"' + MASK.encode() + b'"'
            done = end
    return bytes(found + raw[done:])


def names_secret(raw: bytes) -> bool:
    """Whether a secret key is named in the bytes, as a key or otherwise."""
    # Letters have one escape only, so nearly always looking for the plain text settles it, at a tenth of the cost.
    if b"\\u" not in raw and not any(key.encode() in raw for key in _secret_keys()):
        return False
    return _secret_names().search(raw) is not None


@cache
def _secret_names() -> re.Pattern[bytes]:
    return re.compile(rb'"(?:' + b"|".join(spelled(key) for key in _secret_keys()) + rb')"')


@cache
def _secrets() -> re.Pattern[bytes]:
    return re.compile(rb'"(?:' + b"|".join(spelled(key) for key in _secret_keys()) + rb')"\s*:?\s*')


@cache
def _last_secret() -> re.Pattern[bytes]:
    return re.compile(_secrets().pattern + rb"\Z")


_BARE = re.compile(rb'[^,}\]"\r\n]*')


def end_of_value(raw: bytes, start: int) -> int:
    """Where a value ends, as far as broken JSON tells: behind its string, its last bracket, or before what follows."""
    if raw[start : start + 1] not in (b'"', b"[", b"{"):
        bare = _BARE.match(raw, start)
        return bare.end() if bare else start
    depth = 0
    for token in _TOKENS.finditer(raw, start):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token.group()[:1], 0)
        if depth <= 0:
            return token.end()
    return len(raw)
