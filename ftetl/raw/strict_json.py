"""Reads one JSON value exactly, and writes JSON text.

Numbers that Python would change (fractions, exponents, more than 18 digits, NaN) stay as their text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring
from typing import Any

from ftetl.formatting import MASK
from ftetl.raw.json_tokens import STRING_OR_BRACKET
from ftetl.raw.secret_masking import names_secret_key, secret_keys

# Well below the depth at which Python and msgspec give up (about 1,000, less the depth of the caller's stack), so that
# every reader has the same limit.
MAX_DEPTH = 200


class NumberText(str):
    """A number, kept as its text."""

    __slots__ = ()


class RefusedError(Exception):
    """The bytes are not one clean JSON value; `rule` is the rule of the quarantine."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(raw: bytes, *, depth: int = 0, unique: bool = False) -> Any:
    """The value of the bytes, with secrets masked.

    Objects are dicts in the order of the bytes, integers of up to 18 digits are ints, all other numbers `NumberText`.
    An object in which a key stands again with an equal value is a `RepeatedKeys`.

    Args:
        raw: The bytes of one JSON value.
        depth: How deep in its element the value lies.
        unique: Whether to refuse a repeated key whatever its value.

    Raises:
        RefusedError: Invalid UTF-8 or JSON, a key with two different values, or too deep.
    """
    if not _is_shallow(raw, MAX_DEPTH - depth):
        raise RefusedError("too_deep")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("broken_utf8") from None
    try:
        try:
            return (_MASKING if names_secret_key(raw) else _DECODER).decode(text)
        except RefusedError:
            if unique:
                raise
            return (_MASKING_REPEATED if names_secret_key(raw) else _REPEATED).decode(text)
    except RecursionError:  # only if the caller's own stack is nearly full
        raise RefusedError("too_deep") from None
    except ValueError:
        raise RefusedError("broken_json") from None


class RepeatedKeys(dict[str, Any]):
    """An object in which keys stood more than once, each with equal values; they are `repeated`."""

    repeated: tuple[str, ...] = ()


def repeated_keys(value: Any, path: str = "", position: int = 0) -> Iterator[tuple[str, int]]:
    """The paths of all repeated keys in a parsed value, each with the position in the list that it lies in, or 0."""
    if isinstance(value, dict):
        if isinstance(value, RepeatedKeys):
            yield from ((path + key, position) for key in value.repeated)
        for key, item in value.items():
            yield from repeated_keys(item, f"{path}{key}.", position)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from repeated_keys(item, path, place)


def _is_shallow(raw: bytes, limit: int) -> bool:
    # Counting is cheap, and enough for nearly every job.
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return True
    depth = 0
    for token in STRING_OR_BRACKET.finditer(raw):
        mark = token.group()[0]
        depth += (mark in b"[{") - (mark in b"]}")
        if depth > limit:
            return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RefusedError("duplicate_keys")
    return members


def _merged_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """As `_object`, but a key may stand again with an equal value, as the vendor's SDK writes it."""
    members: dict[str, Any] = {}
    repeated: dict[str, None] = {}
    for key, value in pairs:
        if key not in members:
            members[key] = value
        elif compact_json(members[key], canonical=True) == compact_json(value, canonical=True):
            repeated[key] = None
        else:
            raise RefusedError("duplicate_keys")
    if not repeated:
        return members
    merged = RepeatedKeys(members)
    merged.repeated = tuple(repeated)
    return merged


def _masked(members: dict[str, Any]) -> dict[str, Any]:
    for key in secret_keys():
        if members.get(key) not in (None, ""):
            members[key] = MASK
    return members


def _integer(text: str) -> int | NumberText:
    return int(text) if len(text) <= 18 and text != "-0" else NumberText(text)


_DECODER, _MASKING, _REPEATED, _MASKING_REPEATED = (
    json.JSONDecoder(object_pairs_hook=hook, parse_float=NumberText, parse_int=_integer, parse_constant=NumberText)
    for hook in (
        _object,
        lambda pairs: _masked(_object(pairs)),
        _merged_object,
        lambda pairs: _masked(_merged_object(pairs)),
    )
)


def compact_json(value: Any, *, canonical: bool = False) -> str:
    """The value as JSON text without white space; `canonical` sorts the keys, so that equal values give equal text."""
    parts: list[str] = []
    _write(value, parts.append, canonical)
    return "".join(parts)


def _write(value: Any, append: Any, canonical: bool) -> None:
    if isinstance(value, NumberText):
        append(str(value))
    elif isinstance(value, str):
        append(_quoted(value))
    elif isinstance(value, dict):
        items: Iterable[tuple[str, Any]] = sorted(value.items()) if canonical else value.items()
        mark = "{"
        for key, item in items:
            append(mark + _quoted(key) + ":")
            _write(item, append, canonical)
            mark = ","
        append("}" if mark == "," else "{}")
    elif isinstance(value, list):
        mark = "["
        for item in value:
            append(mark)
            _write(item, append, canonical)
            mark = ","
        append("]" if mark == "," else "[]")
    else:
        append(json.dumps(value))


def _quoted(text: str) -> str:
    # UTF-8 cannot encode lone surrogates, so these stay escaped.
    return _SURROGATE.sub(lambda m: f"\\u{ord(m.group()):04x}", encode_basestring(text))


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD for each lone surrogate."""
    return _SURROGATE.sub("\ufffd", text)


def has_lone_surrogate(text: str) -> bool:
    """Whether UTF-8 cannot encode the text."""
    return _SURROGATE.search(text) is not None
