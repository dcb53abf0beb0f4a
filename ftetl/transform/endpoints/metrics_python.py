"""Reads the metrics of a response in Python: here an odd value becomes an anomaly, and what is no entry is refused.

It gives the same as `metrics_arrow` for what that takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ftetl.arrays import one
from ftetl.raw import strict_json
from ftetl.raw.findings import Anomaly
from ftetl.raw.json_tokens import MEMBER_KEY, split_elements
from ftetl.transform.decode.python_reader import AddAnomaly, read_number, read_object
from ftetl.transform.decode.source_schema import endpoint_arrow_schema, endpoint_schema
from ftetl.transform.endpoints.metric_entries import (
    LIST_KEY,
    PREFIX,
    TABLE,
    VALUES,
    Entries,
    Refused,
)


class UnusableError(Exception):
    """The response has no list of metrics; `rule` is the rule of the quarantine."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def read_entries(body: bytes, job_id: str) -> Entries:
    """The entries, with an anomaly for each odd value.

    Raises:
        UnusableError: The response is not an object with a list, or null, in `metrics`.
    """
    beside, elements = _split(body)
    anomalies: list[Anomaly] = []
    refused: list[Refused] = []
    fields: list[dict[str, Any]] = []
    values: list[dict[str, Any]] = []

    def add_anomaly(path: str, kind: str, raw: str | None, position: int) -> None:
        anomalies.append(Anomaly(job_id, path, kind, raw, position))

    for position, raw in enumerate(elements):
        entry = _parsed(raw)
        if isinstance(entry, str):
            refused.append((position, raw, entry))
            fields.append({})
            continue
        for path, _ in strict_json.repeated_keys(entry, PREFIX):
            add_anomaly(strict_json.replace_surrogates(path), "repeated_key", None, position)
        fields.append(read_object(endpoint_schema(TABLE), entry, add_anomaly, PREFIX, position))
        values += _metrics(entry, position, add_anomaly)
    rows = pa.Table.from_pylist(fields, schema=endpoint_arrow_schema(TABLE))
    by_key = {name: one(rows.column(name)) for name in rows.column_names}
    return Entries(by_key, pa.Table.from_pylist(values, schema=VALUES), beside, anomalies, refused)


def _parsed(raw: bytes) -> dict[str, Any] | str:
    """The entry, or the rule that refuses it."""
    try:
        entry = strict_json.parse(raw, depth=2)
    except strict_json.RefusedError as refusal:
        return refusal.rule
    return entry if isinstance(entry, dict) else "not_an_object"


def _metrics(entry: dict[str, Any], position: int, add_anomaly: AddAnomaly) -> Iterator[dict[str, Any]]:
    taken = {*entry}
    for key, item in entry.items():
        if item is None or key in endpoint_schema(TABLE).children:
            continue
        name = strict_json.replace_surrogates(key)
        if name != key:
            add_anomaly(PREFIX + name, "lone_surrogate", strict_json.compact_json({key: item}), position)
            if name in taken:
                continue
            taken.add(name)
        value, anomaly = read_number(item)
        text = strict_json.compact_json(item) if anomaly else None
        if anomaly:
            add_anomaly(PREFIX + name, anomaly, text, position)
        # Plus 0, so that `-0` is the same as an integer and as a real.
        yield {"position": position, "name": name, "value": None if value is None else value + 0.0, "raw": text}


def _split(body: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The keys beside the list, and the bytes of each element of it."""
    try:
        for member in split_elements(body, 1) if body.startswith(b"{") else ():
            key = MEMBER_KEY.match(body, member.start, member.end)
            if key is not None and strict_json.parse(key[1]) == LIST_KEY:
                # With null for the list: it may have broken elements, and what is around it may not.
                around = body[: key.end()] + b"null" + body[member.end :]
                keys = strict_json.parse(around, unique=True)
                del keys[LIST_KEY]
                return keys, _elements(body[key.end() : member.end])
        strict_json.parse(body)
    except strict_json.RefusedError as refusal:
        raise UnusableError(refusal.rule) from None
    raise UnusableError("no_metrics")


def _elements(value: bytes) -> list[bytes]:
    """The bytes of each element of a list; none for null."""
    if value == b"null":
        return []
    if not value.startswith(b"["):
        strict_json.parse(value)
        raise strict_json.RefusedError("no_metrics")
    *spans, end = split_elements(value, 1)
    if not end.closing or end.next != len(value):
        raise strict_json.RefusedError("broken_json")
    elements = [value[span.start : span.end] for span in spans]
    return [] if elements == [b""] else elements
