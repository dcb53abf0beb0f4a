"""Finds secrets by the name in front of them, also in JSON within text, and by their own form (tokens, passwords).

Arrow's regular expressions find the places, ten times as fast as Python's; Python then looks at each.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from ftetl.raw.json_tokens import end_of_value
from ftetl.raw.secret_hints import KEY, PLACE, VALUE_KEY, as_array
from ftetl.raw.secret_names import KeyKind, classify_key
from ftetl.raw.secret_text import assigned, name_after, name_before


class Secret(NamedTuple):
    """A secret at `start` to `end`, what to call it, and how to write the mask: `%s` stands for that."""

    start: int
    end: int
    name: str
    template: bytes = b"%s"


_KEY_AT = re.compile(KEY.encode())
_VALUE_KEY_AT = re.compile(VALUE_KEY.encode())
_KEY_END = re.compile(rb"""(\\*)(["'])\s*:\s*\Z""")
# In front of what looks like a token: it is a part of a longer word, unless this is the end of an escape.
_PART = re.compile(rb"(?<!\\)[A-Za-z0-9_-]\Z")
_ESCAPE = re.compile(rb"\\u[0-9a-fA-F]{4}\Z")
_MASKED = re.compile(rb"\*\*\*\d*")
_LONGEST_KEY = 200
_LONG_ENOUGH = 6  # characters of a token, at least: shorter ones are pieces of text
_FORM: dict[str, re.Pattern[bytes]] = {
    "Bearer": re.compile(rb"(?i:bearer) +([A-Za-z0-9._~+/=-]{8,})"),
    "Basic": re.compile(rb"(?i:basic) +((?:[A-Za-z0-9_-]|\\*[+/]){8,}={0,2})"),
    "signature in a URL": re.compile(rb"(?i:sig|signature)=([A-Za-z0-9%+/=_.-]{16,})"),
    "hf_": re.compile(rb"(hf_[A-Za-z0-9]{20,})"),
    "sk-": re.compile(rb"(sk-[A-Za-z0-9_-]{20,})"),
    "tgp_": re.compile(rb"(tgp_[A-Za-z0-9_-]{16,})"),
    "AWS key": re.compile(rb"(A[KS]IA[A-Z0-9]{16})(?![A-Za-z0-9])"),
    "GitHub token": re.compile(rb"(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    "Slack token": re.compile(rb"(xox[a-z]-[A-Za-z0-9-]{10,})"),
    "Google key": re.compile(rb"(AIza[A-Za-z0-9_-]{30,})"),
    "JWT": re.compile(rb"(eyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{8,})"),
    "private key": re.compile(
        rb"""(-----BEGIN [A-Z0-9 ]*PRIVATE KEY[^"]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|(?=\\*"|\Z)))"""
    ),
    "password in a URL": re.compile(rb"""(?://|\\+/\\+/)[^/\s"'@:\\]*:([^/\s"'@\\]+)@"""),
}
_ANYWHERE = ("private key", "password in a URL")
_NEED_DIGIT = ("sk-", "Bearer")  # others than words of English; unless they are long
_LONG_WORD = 40


def find_secrets(raw: bytes) -> Iterator[Secret]:
    """The secrets in the bytes, in order, none within another."""
    import pyarrow.compute as pc

    done = at = 0
    lengths = pc.binary_length(pc.split_pattern_regex(as_array([raw]), PLACE).values).to_pylist()
    for length in lengths[:-1]:
        at += length
        matched = _place_pattern().match(raw, at)
        assert matched is not None  # the patterns are the same
        for place in _places_within(raw, at, matched.end()):
            if place >= done and (secret := _secret_at(raw, place)):
                yield secret
                done = secret.end
        at = matched.end()


def _places_within(raw: bytes, start: int, end: int) -> Iterator[int]:
    """The place at `start`, and those that begin within its text: `hf_token` may be a token of that form or a key."""
    yield start
    stop = min(len(raw), end + _LONGEST_KEY)
    at = start + 1
    while (inner := _place_pattern().search(raw, at, stop)) and inner.start() < end:
        yield inner.start()
        at = inner.start() + 1


@cache
def _place_pattern() -> re.Pattern[bytes]:
    return re.compile(PLACE.encode())


def _secret_at(raw: bytes, at: int) -> Secret | None:
    if key := _KEY_AT.match(raw, at):
        return _value_of_key(raw, key)
    if value := assigned(raw, at):
        return Secret(*value)
    if pair := _VALUE_KEY_AT.match(raw, at):
        return _value_of_key(raw, pair, of_pair=True)
    for name, pattern in _FORM.items():
        found = pattern.match(raw, at)
        if (
            found
            and (name in _ANYWHERE or not _is_part_of_a_word(raw[max(0, at - 6) : at]))
            and not _MASKED.fullmatch(found[1])
        ):
            if name == "Basic" and not _is_user_and_password(found[1]):
                return None
            has_digit = re.search(rb"\d", found[1])
            if name in _NEED_DIGIT and not has_digit and len(found[1]) < _LONG_WORD:
                return None
            return Secret(found.start(1), found.end(1), name)
    return None


def _is_part_of_a_word(before: bytes) -> bool:
    return _PART.search(before) is not None and _ESCAPE.search(before) is None


def _is_user_and_password(encoded: bytes) -> bool:
    bare = encoded.replace(b"\\", b"").rstrip(b"=")
    try:
        return b":" in binascii.a2b_base64(bare[: len(bare) // 4 * 4])  # a character of the text may follow
    except binascii.Error:
        return False


def _value_of_key(raw: bytes, match: re.Match[bytes], *, of_pair: bool = False) -> Secret | None:
    """The value of a key, if the key, or the name beside it in a pair, says that it is a secret, and it can be one."""
    end = _KEY_END.search(match[0])
    assert end is not None  # the end of the same pattern
    slashes, quote = end[1], end[2]
    closing = match.start() + end.start()
    opening = raw.rfind(quote, max(0, closing - _LONGEST_KEY), closing)
    key = name_before(raw, match.start()) if of_pair else _unescaped(raw[opening + 1 : closing])
    meaning = classify_key(key) if opening >= 0 and key else KeyKind.NOTHING
    before_text = of_pair and key is None and raw.startswith(slashes + quote, match.end())
    if meaning is KeyKind.NOTHING and not before_text:
        return None
    start = match.end()
    mark = slashes + quote
    is_text = raw.startswith(mark, start)
    stop = end_of_value(raw, start) if mark == b'"' else _end_in_text(raw, start, slashes, quote, is_text=is_text)
    if before_text:
        key = name_after(raw, stop)
        meaning = classify_key(key or "")
    inner = raw[start:stop].strip()
    if inner in (b"", b"null", b"None", b"true", b"false", b"{}", b"[]", mark * 2, mark + b"***" + mark):
        return None
    if meaning is KeyKind.NOTHING or (meaning is KeyKind.TEXT and not is_text):
        return None
    if meaning is KeyKind.TOKEN and (not is_text or len(inner) - 2 * len(mark) < _LONG_ENOUGH):
        return None
    return Secret(start, start + len(raw[start:stop].rstrip()), key or "", mark + b"%s" + mark)


def _unescaped(key: bytes) -> str:
    try:
        return str(json.loads(b'"' + key + b'"'))
    except ValueError:
        return key.decode("utf-8", "replace")


def _end_in_text(raw: bytes, start: int, slashes: bytes, quote: bytes, *, is_text: bool) -> int:
    """The end of a value in JSON that is itself text: quotes of its own have `slashes` before them.

    A backslash of the inner text is twice as many, so that more of them may stand before a quote that ends it.
    """
    count, depth, in_text = len(slashes), 0, False
    for token in re.compile(rb"""(\\*)%s|[][{},]""" % quote).finditer(raw, start):
        if token[0][-1:] == quote:
            level = len(token[1]) % (2 * (count + 1))
            if level < count:  # the text around it ends
                return token.start()
            if level == count:
                in_text = not in_text
                if is_text and not in_text and depth == 0:
                    return token.end()
        elif not in_text:
            depth += (token[0] in b"[{") - (token[0] in b"]}")
            if depth < 0 or (token[0] == b"," and depth == 0):
                return token.start()
            if depth == 0 and token[0] in b"]}":
                return token.end()
    return len(raw)
