"""The entries of one response of `GET /fine-tunes/{id}/metrics`, as both of its readers give them.

An entry is a flat object with any keys. Those that columns are read from, such as `timestamp`, become `fields`; each
other key is a metric.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from ftetl.raw.findings import Anomaly

TABLE: Final = "training_metrics"
LIST_KEY: Final = "metrics"
PREFIX: Final = f"{LIST_KEY}."  # of the paths in anomalies
VALUES: Final = pa.schema(
    [("position", pa.int64()), ("name", pa.string()), ("value", pa.float64()), ("raw", pa.string())]
)
Refused = tuple[int, bytes, str]  # what is no entry: its position, its bytes, the rule that refuses it


@dataclass
class Entries:
    """The entries of a response."""

    fields: dict[str, pa.Array]  # by key that a column is read from: its value in each entry, null where it has none
    values: pa.Table  # the metrics in any order: position of the entry, name, value, raw
    keys: dict[str, Any]  # what the response has beside its list
    anomalies: list[Anomaly] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many entries the response has, refused ones included."""
        return len(next(iter(self.fields.values())))
