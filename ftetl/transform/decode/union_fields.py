"""Fields that come in two kinds, told apart in the bytes so that Arrow's reader takes both.

`train_on_inputs` is `true`, `false`, `"auto"` or null from job to job, and a kind that changes within a batch sends
Arrow back. In the batch's own copy of the bytes the key's last letter is changed where the value is of the other kind,
and once more where it is null (which becomes `true`, of the same length): the kinds arrive as sibling fields, and a key
that stands twice in one object is still seen. An unescaped key cannot stand inside a string: its quotes would be
escaped. Knows no values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.raw import strict_json
from ftetl.transform.decode.source_schema import Leaf, Node, job, null_name, other_name, unions

# The first byte of a value of each kind.
_FIRST = {"string": b'"', "boolean": b"tf", "integer": b"-0123456789"}


_LETTERS = (b"\\u005", b"\\u006", b"\\u007")  # how the escape of an ASCII letter, or of `_`, begins
_FEW = 5_000
_COLON = re.compile(rb"\s*:\s*")


@cache
def _keys() -> tuple[tuple[bytes, bytes, int], ...]:
    """Of each such key: its text in quotes, the first bytes of a value that gets a sibling, and the sibling's mark."""
    kinds = {key: str(leaf.other) for key, leaf in unions()}
    return tuple((f'"{k}"'.encode(), _FIRST[other] + b"n", ord(other_name(k)[-1])) for k, other in kinds.items())


def _values(body: bytearray, size: int, quoted: bytes, first: bytes) -> Iterator[tuple[int, int]]:
    """Where the key's last letter and its value stand, wherever the value begins with one of these bytes."""
    # Looking for the plain key is many times as fast as a pattern, and this holds up every other thread.
    at = body.find(quoted, 0, size)
    while at >= 0:
        end = at + len(quoted)
        value = end + 1 if body[end : end + 1] == b":" else 0
        if not value or body[value : value + 1] in b" \t\r\n":
            colon = _COLON.match(body, end, size)
            value = colon.end() if colon else size
        # Behind a backslash it is the end of a longer key, which has an escaped quote in it.
        if value < size and body[value] in first and body[at - 1 : at] != b"\\":
            yield end - 2, value
        at = body.find(quoted, end, size)


@cache
def _taken() -> tuple[bytes, ...]:
    return tuple(f'"{name(k)}"'.encode() for k, _ in unions() for name in (other_name, null_name))


@cache
def _disguised() -> re.Pattern[bytes]:
    """Such a key, or its sibling's name, in any spelling but the plain one."""
    names = [name for key, _ in unions() for name in (key, other_name(key), null_name(key))]
    either = b"|".join(rb"(?!%s)%s" % (re.escape(n.encode()), strict_json.spelled(n)) for n in sorted(set(names)))
    return re.compile(rb'"(?:' + either + rb')"')


def _escapes(body: bytearray, size: int) -> bool:
    """Whether some letter of such a key may be written as an escape; nearly no body has one."""
    # One byte is looked for many times as fast as five, as long as there are few of it.
    at = -1
    for _ in range(_FEW):
        at = body.find(b"\\", at + 1, size)
        if at < 0:
            return False
        if body[at : at + 5] in _LETTERS:
            return True
    return any(body.find(mark, at, size) >= 0 for mark in _LETTERS)


def _holds_a_sibling(body: bytearray, size: int) -> bool:
    # One byte is looked for many times as fast as a name, and nearly no body has it.
    marks = {name[-2:-1] for name in _taken()}
    return any(body.find(mark, 0, size) >= 0 for mark in marks) and any(
        body.find(name, 0, size) >= 0 for name in _taken()
    )


def rename(body: bytearray, size: int) -> None:
    """Rename the keys of the other kind, in place, in the first `size` bytes.

    Raises:
        ArrowInvalid: The batch has a key of a sibling's name, or writes such a key with escapes.
    """
    if _holds_a_sibling(body, size) or (_escapes(body, size) and _disguised().search(body, 0, size)):
        raise pa.ArrowInvalid("a key has the name of a sibling")
    for quoted, first, mark in _keys():
        for last, value in _values(body, size, quoted, first):
            if body[value] == ord("n"):
                # Only `null` begins with n, and Arrow has not yet looked: anything else is left for it to refuse.
                if body[value : value + 4] == b"null":
                    body[last] = ord("^")
                    body[value : value + 4] = b"true"
            else:
                body[last] = mark


def repeats(table: pa.Table) -> bool:
    """Whether such a key stands twice in one object."""
    for path in _places(job(), ()):
        seen = None
        for name in (path[-1], other_name(path[-1]), null_name(path[-1])):
            steps = [*path[1:-1], name]
            values = table.column(name) if len(path) == 1 else pc.struct_field(table.column(path[0]), steps)
            valid = pc.cast(pc.is_valid(values), pa.int8())
            seen = valid if seen is None else pc.add(seen, valid)
        if pc.any(pc.greater(seen, 1)).as_py():
            return True
    return False


def _places(node: Node, above: tuple[str, ...]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for key, child in node.children.items():
        if isinstance(child, Node):
            found += _places(child, (*above, key))
        elif isinstance(child, Leaf) and child.other:
            found.append((*above, key))
    return found
