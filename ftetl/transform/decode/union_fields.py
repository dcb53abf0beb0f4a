"""Union fields: values of two kinds under one key, renamed in the bytes so that Arrow's reader takes both.

`train_on_inputs` is `true`, `false`, `"auto"` or null from job to job, and Arrow refuses a kind that changes within a
batch. In the batch's copy of the bytes the key's last letter is changed where the value is of the other kind, and to
another one where it is null (which becomes `true`, of the same length). So the kinds arrive as sibling fields, and a
key that stands twice in one object is still seen. An unescaped key cannot stand inside a string: its quotes would be
escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.raw import json_tokens
from ftetl.transform.decode.json_kinds import JSON_KINDS
from ftetl.transform.decode.source_schema import null_key, other_kind_key, sibling_keys, union_fields

_LETTER_ESCAPES = (b"\\u005", b"\\u006", b"\\u007")  # how the escape of an ASCII letter, or of `_`, begins
_MAX_BACKSLASHES = 5_000  # that are searched for one by one
_COLON = ord(":")
_SPACED_COLON = re.compile(rb"\s*:\s*")


@cache
def _keys() -> tuple[tuple[bytes, bytes, int], ...]:
    """By union field: its key in quotes, the first bytes of a value to rename, and the last byte of the other key."""
    kinds = {path[-1]: JSON_KINDS[str(leaf.other_kind)] for path, leaf in union_fields().items()}
    return tuple(
        (f'"{key}"'.encode(), kind.first_bytes + b"n", ord(other_kind_key(key)[-1])) for key, kind in kinds.items()
    )


def _values(body: bytearray, size: int, quoted: bytes, first: bytes) -> Iterator[tuple[int, int]]:
    """Where the key's last letter and its value stand, wherever the value begins with one of these bytes."""
    # Searching the plain key is many times as fast as a pattern, and this holds up every other thread.
    at = body.find(quoted, 0, size)
    while at >= 0:
        end = at + len(quoted)
        value = end + 1
        if value >= size or body[end] != _COLON or body[value] in b" \t\r\n":
            spaced = _SPACED_COLON.match(body, end, size)
            value = spaced.end() if spaced else size
        # Behind a backslash it is the end of a longer key, which has an escaped quote in it.
        if value < size and body[value] in first and body[at - 1 : at] != b"\\":
            yield end - 2, value
        at = body.find(quoted, end, size)


@cache
def _escaped_key() -> re.Pattern[bytes]:
    """A union field's key, or a sibling's, in any spelling but the plain one."""
    names = sorted({*sibling_keys(), *sibling_keys().values()})
    spellings = b"|".join(rb"(?!%s)%s" % (re.escape(n.encode()), json_tokens.escaped_key_pattern(n)) for n in names)
    return re.compile(rb'"(?:' + spellings + rb')"')


def _may_escape_letters(body: bytearray, size: int) -> bool:
    """Whether some letter may be written as an escape; nearly no body has one."""
    # One byte is found many times as fast as five, as long as there are few of it.
    at = -1
    for _ in range(_MAX_BACKSLASHES):
        at = body.find(b"\\", at + 1, size)
        if at < 0:
            return False
        if body[at : at + 5] in _LETTER_ESCAPES:
            return True
    return any(body.find(escape, at, size) >= 0 for escape in _LETTER_ESCAPES)


def _has_sibling_key(body: bytearray, size: int) -> bool:
    # One byte is found many times as fast as a key, and nearly no body has it.
    keys = [f'"{key}"'.encode() for key in sibling_keys()]
    return any(body.find(last, 0, size) >= 0 for last in {key[-2:-1] for key in keys}) and any(
        body.find(key, 0, size) >= 0 for key in keys
    )


def rename_union_keys(body: bytearray, size: int) -> None:
    """Rename the keys of union fields whose value is of the other kind or null, in place, in the first `size` bytes.

    Raises:
        ArrowInvalid: The batch has a sibling's key, or writes such a key with escapes.
    """
    if _has_sibling_key(body, size) or (_may_escape_letters(body, size) and _escaped_key().search(body, 0, size)):
        raise pa.ArrowInvalid("a key has the name of a sibling")
    for quoted, first, other in _keys():
        for last, value in _values(body, size, quoted, first):
            if body[value] != ord("n"):
                body[last] = other
            elif body[value : value + 4] == b"null":  # anything else is left for Arrow to refuse
                body[last] = ord("^")
                body[value : value + 4] = b"true"


def has_repeated_union_key(table: pa.Table) -> bool:
    """Whether a union field's key stands twice in one object of a table that Arrow read."""
    for path in union_fields():
        count = None
        for name in (path[-1], other_kind_key(path[-1]), null_key(path[-1])):
            keys = [*path[1:-1], name]
            values = table.column(name) if len(path) == 1 else pc.struct_field(table.column(path[0]), keys)
            valid = pc.cast(pc.is_valid(values), pa.int8())
            count = valid if count is None else pc.add(count, valid)
        if pc.any(pc.greater(count, 1)).as_py():
            return True
    return False
