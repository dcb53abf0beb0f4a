"""Whether a snapshot is as good to read as the same rows written by DuckDB: the size of the files, and two queries."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.benchmarks.cases import Case
from tests.benchmarks.measure import HERE, export, measured, own_folder, said
from tests.benchmarks.thresholds import Bar

ENGINES = "duckdb", "polars", "pandas"
SAME = 1.1  # two measurements of the same query over the same file differ by as much
QUERIES = HERE / "queries.py"


def reading(case: Case, scratch: Path) -> tuple[str, list[Bar]]:
    """A table in Markdown, and the bars."""
    file, _ = case.answer(scratch, "ndjson")
    rows = ["| what | ftetl's files | DuckDB's files | ratio |", "|---|--:|--:|--:|"]
    bars: list[Bar] = []
    with own_folder(scratch, "reading") as folder:
        ours, theirs = folder / "target" / "current", folder / "duckdb"
        measured(export(file, folder / "target"), folder)
        for name, (one, other) in json.loads(said([sys.executable, QUERIES, "copy", ours, theirs])).items():
            rows.append(f"| {name} | {one / 1e6:,.2f} MB | {other / 1e6:,.2f} MB | {one / other:.2f} x |")
            bars.append(Bar(f"{name}: size by that of DuckDB's file", one / other, 1.0))
        for engine in ENGINES:
            for name, (one, other) in json.loads(said([sys.executable, QUERIES, engine, ours, theirs])).items():
                rows.append(f"| {engine}: {name} | {one * 1e3:,.1f} ms | {other * 1e3:,.1f} ms | {one / other:.2f} x |")
                bars.append(Bar(f"{engine}: {name}, time by that over DuckDB's file", one / other, SAME))
    return "\n".join(rows), bars
