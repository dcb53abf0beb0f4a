"""What the API sends that no contract reads, taken from the raw text so that it is exact.

The fast road tells which keys it did not know; here the texts for `extra` and for the columns of JSON text are cut out
of the raw bytes. Knows the shape of a job, no tables.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa

from ftetl.contract import tables
from ftetl.raw import emails, strict_json
from ftetl.transform.decode.python_reader import Note, mended
from ftetl.transform.decode.raw_batch import Raws
from ftetl.transform.decode.source_schema import Items, Leaf, Node, job, null_name, other_name, wire_name

Path = tuple[str, ...]


@dataclass
class Texts:
    """What one raw job says beyond its columns."""

    extra: dict[str, Any] = field(default_factory=dict)
    events: dict[int, dict[str, Any]] = field(default_factory=dict)  # by the event's position
    json: dict[str, str] = field(default_factory=dict)  # by the key of a column of JSON text


@cache
def json_keys() -> tuple[str, ...]:
    """The keys whose values are kept as JSON text."""
    return tuple(k for k, child in job().children.items() if isinstance(child, Leaf) and child.is_json)


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def texts_of_raw(raw: bytes, wanted: set[str]) -> Texts:
    """The texts of a job that the fast road has read; only the values of the `wanted` top-level keys are looked at.

    Raises:
        RefusedError: The element is not one clean JSON value after all.
    """
    values = _fields.decode(raw)
    return texts_of({k: _masked(k, strict_json.parse(bytes(v), depth=1)) for k, v in values.items() if k in wanted})


def _masked(key: str, value: Any) -> Any:
    return strict_json.MASK if key in tables()["jobs"].secrets and value not in (None, "") else value


def texts_of(value: dict[str, Any], note: Note | None = None) -> Texts:
    """The texts of a job that was read strictly; on the careful road with what `mended` notes."""
    found = Texts()
    for key in json_keys():
        if value.get(key) is not None:
            found.json[key] = strict_json.compact(value[key])
    found.extra = _rest(job(), value, found)
    if note is not None:
        found.extra = mended(found.extra, note)
        found.events = {at: mended(rest, note, "events", at) for at, rest in found.events.items()}
    return found


def _rest(node: Node, value: dict[str, Any], found: Texts) -> dict[str, Any]:
    """The keys of an object that no column reads, nested ones under their parents."""
    rest: dict[str, Any] = {}
    for key, item in value.items():
        child = node.children.get(key)
        if child is None:
            if key not in node.ignored:
                rest[key] = item
        elif isinstance(child, Node) and isinstance(item, dict):
            if inner := _rest(child, item, found):
                rest[key] = inner
        elif isinstance(child, Items) and isinstance(item, list):
            for position, row in enumerate(item):
                if isinstance(row, dict) and (inner := _rest(child.node, row, found)):
                    found.events[position] = inner
    return rest


def paths(found: Texts) -> Counter[str]:
    """The paths of the unknown keys of one job, for the drift report."""
    seen = set(_paths(job(), found.extra, ""))
    for rest in found.events.values():
        items = job().children["events"]
        assert isinstance(items, Items)
        seen |= set(_paths(items.node, rest, "events."))
    return Counter(seen)


def _paths(node: Node, rest: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in rest.items():
        child = node.children.get(key)
        if isinstance(child, Node) and isinstance(value, dict):
            yield from _paths(child, value, f"{prefix}{key}.")
        else:
            # The report is told to everybody; a key may be somebody's address all the same.
            yield prefix + emails.hidden(key, strict_json.MASK)


def unread(fields: list[pa.Field[Any]] | pa.Schema, node: Node, above: Path = ()) -> Iterator[Path]:
    """The paths in what Arrow inferred that the shape neither reads nor ignores; JSON texts are not among them."""
    for inner in fields:
        child = node.children.get(inner.name)
        if isinstance(child, Node) and pa.types.is_struct(inner.type):
            yield from unread(list(inner.type), child, (*above, inner.name))
        elif isinstance(child, Items) and pa.types.is_list(inner.type):
            yield from unread(list(inner.type.value_type), child.node, (*above, inner.name))
        elif child is None and _is_unread(inner, node):
            yield (*above, wire_name(inner.name))


def _is_unread(inner: pa.Field[Any], node: Node) -> bool:
    if inner.name in node.ignored:
        # What is ignored is not looked at, but what lies inside it must be clean all the same.
        return pa.types.is_nested(inner.type)
    return inner.name not in _siblings(node)


def _siblings(node: Node) -> set[str]:
    keys = [k for k, child in node.children.items() if isinstance(child, Leaf) and child.other]
    return {other_name(k) for k in keys} | {null_name(k) for k in keys}


_MANY = 64  # names in one pattern; with more, reading a job is faster than searching it


def key_pattern(names: set[str]) -> re.Pattern[bytes] | None:
    """A pattern that finds every raw job that may have one of these keys, whatever its value; None: any job may.

    Arrow cannot tell an explicit null from an absent key, so the raw text is asked. A key may be written with escapes;
    a text that holds one before a colon counts as having it.
    """
    if len(names) > _MANY or not all(re.fullmatch(r"[\w .~^:/-]+", name, re.ASCII) for name in names):
        return None
    plain = (b'"' + re.escape(name.encode()) + b'"' for name in sorted(names))
    escaped = rb'"[^"\\]*\\[^"]*"'
    return re.compile(rb"(?:" + b"|".join([*plain, escaped]) + rb")\s*:")


_SAMPLE = 8  # jobs that stand for a batch
_FIELDS = 1000  # unknown fields of a batch from which on Arrow is the slower road: it fills each of them in each row


def sprawls(raws: Raws) -> bool:
    """Whether the jobs seem to have unknown keys of their own each, such as identifiers: then Arrow would crawl."""
    if len(raws) < _SAMPLE**2:
        return False
    times_seen: Counter[Path] = Counter()
    samples = []
    for number in range(_SAMPLE):
        raw = raws[number * (len(raws) // _SAMPLE)]
        try:
            samples.append(set(_keys(job(), msgspec.json.decode(raw), ())))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            continue
        times_seen.update(samples[-1])
    own = [sum(times_seen[path] == 1 for path in sample) for sample in samples]
    return sum(map(bool, own)) > _SAMPLE // 2 and sum(own) * len(raws) >= _FIELDS * _SAMPLE


def _keys(node: Node | None, value: Any, above: Path) -> Iterator[Path]:
    """The paths of all keys in a value but those that the shape knows."""
    if isinstance(value, dict):
        for key, item in value.items():
            child = node.children.get(key) if node else None
            if child is None:
                yield (*above, key)
            if isinstance(item, dict | list):
                inner = child.node if isinstance(child, Items) else child if isinstance(child, Node) else None
                yield from _keys(inner, item, (*above, key))
    elif isinstance(value, list):
        for item in value:
            yield from _keys(node, item, above)
