"""The next rows of `jobs` and `events` that a run has merged, and the jobs whose rows it replaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa


class MergedEvents(NamedTuple):
    """Rows of `events`, and whether they are the next ones of the version before."""

    rows: pa.Table
    are_stored: bool = False


@dataclass(frozen=True)
class MergedBatch:
    """The next rows of the two large tables; the events come in pieces, to be taken before the next batch."""

    jobs: pa.Table
    events: Iterator[MergedEvents]


@dataclass
class Touched:
    """The jobs of which this run replaced the row, the columns that only a detail fills, or the events."""

    rows: list[pa.Array] = field(default_factory=list)
    whole_rows: list[pa.Array] = field(default_factory=list)  # without a value from the stored row
    details: list[pa.Array] = field(default_factory=list)
    events: list[pa.Array] = field(default_factory=list)
