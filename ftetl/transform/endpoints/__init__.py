"""The tables of endpoints beside `/fine-tunes`: one module a table, which reads its responses; `merge` is for all.

A module has a function `read(answers, project)` that gives `EndpointRows`. A response that is not usable costs nothing
but itself: the stored rows stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol, cast

import pyarrow as pa

from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.raw.response import Response

Answers = Sequence[tuple[str, Response]]  # each response with what it was asked for: a month, a job, or ""


@dataclass
class EndpointRows:
    """What the responses of one endpoint hold.

    Attributes:
        rows: Rows of the table, with every column of its contract; `observed_at` is when the response was received.
        replaced: The groups (values of the contract's `group`) of which all rows are in `rows`, also those without any.
        anomalies: Of the rows; `job_id` is the group.
        quarantined: Elements that no row can take.
        refused: Why each response that is not usable is not, by what it was asked for.
        warnings: A line for whatever is odd about many rows, or about money.
        whole: Whether the responses list all rows that there are: others are missing (`present` is false).
    """

    rows: pa.Table
    replaced: list[str] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    quarantined: list[QuarantinedElement] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    whole: bool = False


class Reader(Protocol):
    """What each module of a table has."""

    def read(self, answers: Answers, project: str) -> EndpointRows:
        """The rows of these responses, in any order."""


def reader(table: str) -> Reader:
    """The module of a table, imported when it is needed."""
    return cast("Reader", import_module(f"{__name__}.{table}"))
