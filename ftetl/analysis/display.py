"""Makes the results of the analyses readable: a frame as text, and what a snapshot holds in a sentence."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl import formatting
from ftetl.analysis import frames
from ftetl.snapshot.snapshot import Tables

_CELL_LENGTH = 96


def shown(frame: pd.DataFrame, rows: int = 20) -> pd.DataFrame:
    """The first rows as people read them: a frame of text such as `$1,234.56` or `1 h 12 min`, a dash where it is NULL.

    The format of a column follows from its name: `seconds` and `..._seconds` are durations, `..._rate` and `share` are
    shares; decimals are dollars; of `month` the day is left out. Text is one line. Amounts are rounded: do not add
    them up.
    """
    frames.require_frame(frame)
    columns = pa.Table.from_pandas(frame.head(rows), preserve_index=False).to_pydict()
    texts = {name: [_cell(name, value) for value in column] for name, column in columns.items()}
    return pd.DataFrame(texts, dtype=object)


def about(snapshot: Tables) -> str:
    """What a snapshot holds: its projects, its jobs, and from when to when they were created."""
    jobs = frames.read_arrow(snapshot, "jobs", ["created_at", "updated_at"])
    projects = getattr(snapshot, "projects", None) or (snapshot.project,)
    names = ", ".join(formatting.display_name(name) for name in projects)
    noun = "the project" if len(projects) == 1 else "the projects"
    text = f"{formatting.pluralize(jobs.num_rows, 'job')} of {noun} {names}"
    span = pc.min_max(pc.coalesce(jobs.column("created_at"), jobs.column("updated_at"))).as_py()
    if span["min"] is None:
        return f"{text}."
    return f"{text}, created from {span['min'].date()} to {span['max'].date()} (UTC)."


def _cell(name: str, value: Any) -> str:
    if value is None:
        return formatting.MISSING
    if isinstance(value, str):
        return formatting.display_name(value, _CELL_LENGTH)
    if isinstance(value, Decimal):
        return formatting.format_usd(value)
    if isinstance(value, float):
        return _real(name, value)
    if isinstance(value, datetime):
        return formatting.format_minute(int(value.astimezone(UTC).timestamp()))
    if isinstance(value, date):
        return value.isoformat()[: len("2026-07") if name == "month" else None]
    return formatting.format_count(value) if type(value) is int else str(value)


def _real(name: str, value: float) -> str:
    if name.endswith("seconds"):
        return formatting.format_duration(abs(value)) if value >= 0 else f"-{formatting.format_duration(-value)}"
    return formatting.format_percent(value) if name.endswith(("rate", "share")) else f"{value:,.6g}"
