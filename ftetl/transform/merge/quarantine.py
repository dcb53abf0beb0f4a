"""The table of elements that no other table can take, each kept once."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.raw.findings import QuarantinedElement

# Of several elements with the same bytes the first one in this order is kept; each with its column.
ORDER = {"observed_at": "first_seen_at", "source": "source", "position": "position"}


@dataclass(frozen=True)
class Quarantined:
    """The next quarantine, and how many of its rows are new."""

    table: pa.Table
    new: int


def quarantine(stored: pa.Table, quarantined: Iterable[QuarantinedElement], project: str) -> Quarantined:
    """The stored quarantine with this run's elements; the same bytes are there once, as they were first seen."""
    known = set(stored.column("raw_sha256").to_pylist())
    rows: dict[str, dict[str, Any]] = {}
    for element in sorted(quarantined, key=attrgetter(*ORDER)):
        digest = hashlib.sha256(element.raw).hexdigest()
        if digest not in known and digest not in rows:
            rows[digest] = _row(element, digest, project)
    if not rows:
        return Quarantined(stored, 0)
    wanted = schema(tables()["quarantine"])
    whole = pa.concat_tables([stored, pa.Table.from_pylist(list(rows.values()), schema=wanted)])
    return Quarantined(whole.take(pc.sort_indices(whole, [("raw_sha256", "ascending")])), len(rows))


def _row(element: QuarantinedElement, digest: str, project: str) -> dict[str, Any]:
    try:
        text, encoding = element.raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(element.raw).decode("ascii"), "base64"
    return {
        "project": project,
        "raw_sha256": digest,
        "raw": text,
        "raw_encoding": encoding,
        "rule": element.rule,
        "job_id": element.job_id,
        "source": element.source,
        "position": element.position,
        "first_seen_at": element.observed_at,
    }
