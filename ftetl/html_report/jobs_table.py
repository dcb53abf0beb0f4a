"""The table of all jobs: as data for the page's script, and the newest ones as rows that need no script.

Both are made from the same columns. Knows the tables' columns and how a cell is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ftetl import formatting
from ftetl.analysis.frames import FULL
from ftetl.arrays import one
from ftetl.html_report.markup import Markup, data, seen, tag
from ftetl.snapshot.snapshot import Tables

STATIC: Final = 100  # rows that stand in the page without its script, and on paper
_SAFE: Final = 2**53 - 1  # beyond it JavaScript's numbers are not exact, so such ones go as text
_READ: Final = (
    "project", "job_id", "created_at", "status", "model", "user_id", "suffix", "training_type", "training_method",
    "token_count", "total_price_nanousd", "refund_amount_nanousd", "duration_seconds", "failure_reason",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of the table: its heading, what its cells are (`text`, `time`, `count`, `money`, `seconds`), and they.

    Times are seconds since 1970, money is nano-dollars. With `choices` the cells are places among these.
    """

    heading: str
    kind: str
    cells: list[Any]
    choices: list[str] | None = None
    look: str | None = None  # what the style knows it by

    def __getitem__(self, row: int) -> Any:
        cell = self.cells[row]
        return cell if self.choices is None or cell is None else self.choices[cell]

    @property
    def side(self) -> str | None:
        """The class of its cells."""
        return self.look or (None if self.kind in ("text", "time") else "n")

    def document(self) -> dict[str, Any]:
        """The column as the script reads it."""
        cells = [_exact(cell) for cell in self.cells] if self.kind in ("count", "money") else self.cells
        told = {"kind": self.kind, "cells": cells}
        return told if self.choices is None else {**told, "choices": self.choices}


def columns(snapshot: Tables, *, projects: bool) -> list[Column]:
    """All jobs, the newest first; with a column of `projects` where there are several."""
    table = snapshot.arrow("jobs", _READ)
    order = [("created_at", "descending"), ("project", "ascending"), ("job_id", "ascending")]
    table = table.take(pc.sort_indices(table, sort_keys=order))
    found = {name: one(table.column(name)) for name in table.column_names}
    training = pc.coalesce(found["training_type"], pa.scalar(FULL))
    training = pc.binary_join_element_wise(training, found["training_method"], " ", null_handling="skip")
    moments = pc.floor_temporal(found["created_at"], unit="second").cast(pa.int64())
    price = found["total_price_nanousd"]
    return [
        Column("Job", "text", [seen(name) for name in found["job_id"].to_pylist()]),
        *([_chosen("Project", found["project"])] if projects else []),
        Column("Created (UTC)", "time", pc.divide(moments, 1_000_000).to_pylist()),
        _chosen("Status", found["status"]),
        _chosen("Model", found["model"], "long"),
        Column("Tokens", "count", found["token_count"].to_pylist()),
        Column("Charged", "money", pc.if_else(pc.greater(price, 0), price, pa.scalar(None, pa.int64())).to_pylist()),
        Column("Refunded", "money", found["refund_amount_nanousd"].to_pylist()),
        Column("Took", "seconds", _milli(found["duration_seconds"])),
        _chosen("User", found["user_id"]),
        _chosen("Training", training),
        _chosen("Suffix", found["suffix"]),
        _chosen("Why it failed", found["failure_reason"], "long"),
    ]


def document(found: list[Column]) -> Markup:
    """The data of all jobs, for the script."""
    return data({"rows": len(found[0].cells), "columns": [column.document() for column in found]}, id="jobs-data")


def table(found: list[Column]) -> Markup:
    """The newest jobs as a table."""
    heads = [tag("th", c.heading, scope="col", class_=c.side) for c in found]
    shown = range(min(STATIC, len(found[0].cells)))
    rows = [tag("tr", *(_cell(column, row, first=column is found[0]) for column in found)) for row in shown]
    caption = tag("caption", "All jobs; the newest first until they are sorted")
    return tag("table", caption, tag("thead", tag("tr", *heads)), tag("tbody", *rows), id="jobs-table")


def _cell(column: Column, row: int, *, first: bool) -> Markup:
    cell = column[row]
    told, exact = (formatting.MISSING, None) if cell is None else WRITTEN[column.kind](cell)
    given = {"class_": column.side, "title": exact if exact != told else None}
    return tag("th", told, scope="row", **given) if first else tag("td", told, **given)


def _money(nano: int) -> tuple[str, str]:
    usd = Decimal(nano).scaleb(-9)
    return formatting.format_usd(usd), f"${formatting.exact_number(usd)}"


WRITTEN: Final[dict[str, Callable[[Any], tuple[str, str | None]]]] = {
    "text": lambda cell: (cell, None),
    "time": lambda cell: (formatting.format_minute(cell), formatting.iso_timestamp(cell)),
    "count": lambda cell: (formatting.format_count(cell), None),
    "money": _money,
    "seconds": lambda cell: (formatting.format_duration(cell), f"{formatting.plain_number(cell)} s"),
}


def _chosen(heading: str, values: pa.Array, look: str | None = None) -> Column:
    coded = values.dictionary_encode()
    choices = [seen(formatting.shorten(choice)) for choice in coded.dictionary.to_pylist()]
    return Column(heading, "text", coded.indices.to_pylist(), choices, look)


def _milli(seconds: pa.Array) -> list[float | None]:
    # A duration before 0 is that of disorderly events, and none.
    kept = pc.if_else(pc.greater_equal(seconds, 0), pc.round(seconds, 3), pa.scalar(None, pa.float64()))
    found: list[float | None] = kept.to_pylist()
    return found


def _exact(number: int | None) -> int | str | None:
    return number if number is None or abs(number) <= _SAFE else str(number)
