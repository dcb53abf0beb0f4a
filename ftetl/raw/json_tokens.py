"""Regular expressions for JSON tokens, and where a value ends; they also work on text that is not valid JSON."""

from __future__ import annotations

import re

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
# A string that is cut off reaches to the end of the bytes, so that no bracket in it counts.
_STRING_OR_CUT = rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)'
STRING_OR_BRACKET = re.compile(_STRING_OR_CUT + rb"|[][{}]", re.DOTALL)
STRING_BRACKET_OR_COMMA = re.compile(_STRING_OR_CUT + rb"|[][{},]", re.DOTALL)
# Group 1 is a string, group 2 the colon that makes it a key.
KEY_OR_BRACKET = re.compile(rb"(" + _STRING + rb"(\s*:)?)|[][{}]", re.DOTALL)
MEMBER_KEY = re.compile(rb"\s*(" + _STRING + rb")\s*:\s*", re.DOTALL)
_BARE_VALUE = re.compile(rb'[^,}\]"\r\n]*')


def escaped_key_pattern(key: str) -> bytes:
    """A pattern that matches the key in JSON, however its letters are escaped."""
    return b"".join(rb"(?:%s|\\u(?i:%04x))" % (re.escape(c.encode()), ord(c)) for c in key)


def end_of_value(raw: bytes, start: int) -> int:
    """The end of the value at `start`: after its string or last bracket; in invalid JSON, before the next separator."""
    if raw[start : start + 1] not in (b'"', b"[", b"{"):
        bare = _BARE_VALUE.match(raw, start)
        return bare.end() if bare else start
    depth = 0
    for token in STRING_OR_BRACKET.finditer(raw, start):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token.group()[:1], 0)
        if depth <= 0:
            return token.end()
    return len(raw)
