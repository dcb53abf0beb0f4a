"""The next rows of `jobs` and `events` that a run has merged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
