"""The table of all jobs: as JSON for the page's script, and the newest ones as rows that need no script.

Both are made from the same columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from ftetl import formatting
from ftetl.analysis.frames import FULL
from ftetl.arrays import one
from ftetl.contract.arrow_schema import NANO
from ftetl.snapshot.snapshot import Tables

STATIC_ROWS: Final = 100  # in the page without its script, and on paper
_MAX_JSON_INTEGER: Final = 2**53 - 1  # beyond it JavaScript's numbers are not exact, so such ones go as text
_COLUMNS: Final = (
    "project", "job_id", "created_at", "status", "model", "user_id", "suffix", "training_type", "training_method",
    "token_count", "total_price_nanousd", "refund_amount_nanousd", "duration_seconds", "failure_reason",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Its `kind` is `text`, `time` (seconds since 1970), `count`, `money` (nano-dollars) or `seconds`. With `choices` the
    cells are indices into these.
    """

    heading: str
    kind: str
    cells: list[Any]
    choices: list[str] | None = None
    is_long: bool = False

    @property
    def css_class(self) -> str | None:
        """The class of its cells."""
        return "long" if self.is_long else None if self.kind in ("text", "time") else "n"

    @property
    def document(self) -> dict[str, Any]:
        """The column as the script reads it."""
        cells = [_json_number(cell) for cell in self.cells] if self.kind in ("count", "money") else self.cells
        document = {"kind": self.kind, "cells": cells}
        return document if self.choices is None else {**document, "choices": self.choices}

    def text_and_title(self, row: int) -> tuple[str, str | None]:
        """A cell as people read it, and its exact value where that is another text."""
        cell = self.cells[row]
        if cell is None:
            return formatting.MISSING, None
        text, exact = _TEXTS[self.kind](cell if self.choices is None else self.choices[cell])
        return text, None if exact == text else exact


def columns(snapshot: Tables, *, with_projects: bool) -> list[Column]:
    """All jobs, the newest first."""
    table = snapshot.arrow("jobs", _COLUMNS)
    order = [("created_at", "descending"), ("project", "ascending"), ("job_id", "ascending")]
    table = table.take(pc.sort_indices(table, sort_keys=order))
    jobs = {name: one(table.column(name)) for name in table.column_names}
    training = pc.coalesce(jobs["training_type"], pa.scalar(FULL))
    training = pc.binary_join_element_wise(training, jobs["training_method"], " ", null_handling="skip")
    created = pc.divide(pc.floor_temporal(jobs["created_at"], unit="second").cast(pa.int64()), 1_000_000)
    price, took = jobs["total_price_nanousd"], jobs["duration_seconds"]
    charged = pc.if_else(pc.greater(price, 0), price, pa.scalar(None, pa.int64()))
    # A value below 0 comes from events in a wrong order, and is not a duration.
    took = pc.if_else(pc.greater_equal(took, 0), pc.round(took, 3), pa.scalar(None, pa.float64()))
    return [
        Column("Job", "text", [formatting.escape_unprintable(name) for name in jobs["job_id"].to_pylist()]),
        *([_choice_column("Project", jobs["project"])] if with_projects else []),
        Column("Created (UTC)", "time", created.to_pylist()),
        _choice_column("Status", jobs["status"]),
        _choice_column("Model", jobs["model"], is_long=True),
        Column("Tokens", "count", jobs["token_count"].to_pylist()),
        Column("Charged", "money", charged.to_pylist()),
        Column("Refunded", "money", jobs["refund_amount_nanousd"].to_pylist()),
        Column("Took", "seconds", took.to_pylist()),
        _choice_column("User", jobs["user_id"]),
        _choice_column("Training", training),
        _choice_column("Suffix", jobs["suffix"]),
        _choice_column("Why it failed", jobs["failure_reason"], is_long=True),
    ]


def _money(nano: int) -> tuple[str, str]:
    usd = Decimal(nano).scaleb(-NANO)
    return formatting.format_usd(usd), f"${formatting.exact_number(usd)}"


_TEXTS: Final[dict[str, Any]] = {  # by kind: the text, and the exact value
    "text": lambda cell: (cell, None),
    "time": lambda cell: (formatting.format_minute(cell), formatting.iso_timestamp(cell)),
    "count": lambda cell: (formatting.format_count(cell), None),
    "money": _money,
    "seconds": lambda cell: (formatting.format_duration(cell), f"{formatting.plain_number(cell)} s"),
}


def _choice_column(heading: str, values: pa.Array, *, is_long: bool = False) -> Column:
    coded = values.dictionary_encode()
    choices = [formatting.escape_unprintable(formatting.shorten(text)) for text in coded.dictionary.to_pylist()]
    return Column(heading, "text", coded.indices.to_pylist(), choices, is_long)


def _json_number(number: int | None) -> int | str | None:
    return number if number is None or abs(number) <= _MAX_JSON_INTEGER else str(number)
