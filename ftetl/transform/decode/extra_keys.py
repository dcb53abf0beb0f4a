"""Keys of the API that no column reads (`extra`), and columns of JSON text: both are cut from the raw bytes, exactly.

The Arrow reader infers which unknown keys a batch has; here their texts are read.
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
from ftetl.formatting import MASK
from ftetl.raw import emails, strict_json
from ftetl.transform.decode.python_reader import AddAnomaly, clean_json
from ftetl.transform.decode.raw_batch import RawBatch
from ftetl.transform.decode.source_schema import Leaf, Node, Path, job_schema, null_key, original_key, other_kind_key


@dataclass
class ExtraTexts:
    """The parts of one raw job that are kept as JSON."""

    extra: dict[str, Any] = field(default_factory=dict)  # by unknown key
    events: dict[int, dict[str, Any]] = field(default_factory=dict)  # by position: an event's unknown keys
    json: dict[str, str] = field(default_factory=dict)  # by the key of a column of JSON text


@cache
def json_text_keys() -> tuple[str, ...]:
    """The keys of the columns of JSON text."""
    return tuple(k for k, child in job_schema().children.items() if isinstance(child, Leaf) and child.is_json)


_top_level = msgspec.json.Decoder(dict[str, msgspec.Raw])


def texts_of_raw(raw: bytes, keys: set[str]) -> ExtraTexts:
    """The texts of a job that the Arrow reader has read; only the values of these top-level keys are parsed.

    Raises:
        RefusedError: The element is not one clean JSON value after all.
    """
    values = _top_level.decode(raw)
    parsed = {k: strict_json.parse(bytes(v), depth=1, unique=True) for k, v in values.items() if k in keys}
    return texts_of_job({k: _masked(k, v) for k, v in parsed.items()})


def _masked(key: str, value: Any) -> Any:
    return MASK if key in tables()["jobs"].secrets and value not in (None, "") else value


def texts_of_job(job: dict[str, Any], add_anomaly: AddAnomaly | None = None) -> ExtraTexts:
    """The texts of a parsed job; with `add_anomaly`, without what JSON or UTF-8 cannot hold (see `clean_json`)."""
    texts = ExtraTexts()
    for key in json_text_keys():
        if job.get(key) is not None:
            texts.json[key] = strict_json.compact_json(job[key])
    texts.extra = _unknown_keys(job_schema(), job, texts)
    if add_anomaly is not None:
        texts.extra = clean_json(texts.extra, add_anomaly)
        texts.events = {at: clean_json(rest, add_anomaly, "events", at) for at, rest in texts.events.items()}
    return texts


def unknown_keys(node: Node, value: dict[str, Any]) -> dict[str, Any]:
    """The keys of an object that no column reads, nested ones under their parents."""
    return _unknown_keys(node, value, ExtraTexts())


def _unknown_keys(node: Node, value: dict[str, Any], texts: ExtraTexts) -> dict[str, Any]:
    """The keys of an object that no column reads, nested ones under their parents; those of events go to the texts."""
    unknown: dict[str, Any] = {}
    for key, item in value.items():
        child = node.children.get(key)
        if child is None:
            if key not in node.ignored:
                unknown[key] = item
        elif isinstance(child, Leaf):
            continue
        elif isinstance(item, dict) and not child.is_list:
            if inner := _unknown_keys(child, item, texts):
                unknown[key] = inner
        elif isinstance(item, list) and child.is_list:
            for position, row in enumerate(item):
                if isinstance(row, dict) and (inner := _unknown_keys(child, row, texts)):
                    texts.events[position] = inner
    return unknown


def unknown_key_paths(texts: ExtraTexts) -> Counter[str]:
    """The paths of the unknown keys of one job, each counted once."""
    paths = set(_paths(job_schema(), texts.extra, ""))
    for unknown in texts.events.values():
        paths |= set(_paths(job_schema().children["events"], unknown, "events."))
    return Counter(paths)


def _paths(node: Leaf | Node, unknown: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in unknown.items():
        child = node.children.get(key) if isinstance(node, Node) else None
        if isinstance(child, Node) and isinstance(value, dict):
            yield from _paths(child, value, f"{prefix}{key}.")
        else:
            # The report is not private; a key may be an e-mail address all the same.
            yield prefix + emails.mask_emails(key, MASK)


def unread_paths(fields: list[pa.Field[Any]] | pa.Schema, node: Node, above: Path = ()) -> Iterator[Path]:
    """The paths that Arrow inferred and the schema neither reads nor ignores, columns of JSON text left out."""
    for inner in fields:
        child = node.children.get(inner.name)
        if isinstance(child, Node):
            struct = inner.type.value_type if child.is_list else inner.type
            yield from unread_paths(list(struct), child, (*above, inner.name))
        elif child is None and _is_unread(inner, node):
            yield (*above, original_key(inner.name))


def _is_unread(inner: pa.Field[Any], node: Node) -> bool:
    if inner.name in node.ignored:
        # What lies inside an ignored key must be clean all the same.
        return pa.types.is_nested(inner.type)
    unions = [key for key, child in node.children.items() if isinstance(child, Leaf) and child.other_kind]
    return inner.name not in {name(key) for key in unions for name in (other_kind_key, null_key)}


_MAX_NAMES = 64  # in one pattern; with more, reading a job is faster than searching it


def key_pattern(keys: set[str]) -> re.Pattern[bytes] | None:
    """A pattern that finds every raw job that may have one of these keys, whatever its value; None: any job may.

    Arrow cannot tell an explicit null from an absent key, so the raw text is searched. A key may be written with
    escapes; a text that has one before a colon counts as having it.
    """
    if len(keys) > _MAX_NAMES or not all(re.fullmatch(r"[\w .~^:/-]+", key, re.ASCII) for key in keys):
        return None
    plain = (b'"' + re.escape(key.encode()) + b'"' for key in sorted(keys))
    escaped = rb'"[^"\\]*\\[^"]*"'
    return re.compile(rb"(?:" + b"|".join([*plain, escaped]) + rb")\s*:")


_SAMPLE = 8  # jobs that stand for a batch
_MAX_FIELDS = 1000  # unknown keys of a batch from which on Arrow is the slower reader: it fills each in each row


def has_identifier_keys(raws: RawBatch) -> bool:
    """Whether most jobs seem to have unknown keys of their own, such as identifiers, which slow Arrow down."""
    if len(raws) < _SAMPLE**2:
        return False
    counts: Counter[Path] = Counter()
    samples = []
    for number in range(_SAMPLE):
        raw = raws[number * (len(raws) // _SAMPLE)]
        try:
            samples.append(set(_unknown_paths(job_schema(), msgspec.json.decode(raw), ())))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            continue
        counts.update(samples[-1])
    own = [sum(counts[path] == 1 for path in sample) for sample in samples]
    return sum(map(bool, own)) > _SAMPLE // 2 and sum(own) * len(raws) >= _MAX_FIELDS * _SAMPLE


def _unknown_paths(node: Node | None, value: Any, above: Path) -> Iterator[Path]:
    """The paths of all keys in a value, at any depth, that the schema does not read."""
    if isinstance(value, dict):
        for key, item in value.items():
            child = node.children.get(key) if node else None
            if child is None:
                yield (*above, key)
            if isinstance(item, dict | list):
                yield from _unknown_paths(child if isinstance(child, Node) else None, item, (*above, key))
    elif isinstance(value, list):
        for item in value:
            yield from _unknown_paths(node, item, above)
