"""Two queries over two folders with the same tables, in turn: seconds of each, as one JSON object.

    python queries.py copy OURS THEIRS       the tables of OURS written to THEIRS by DuckDB; the sizes of the files
    python queries.py duckdb OURS THEIRS     or polars, or pandas

Both folders must give the same answers, or nothing is printed. The first time of each is not counted.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

TABLES = "jobs.parquet", "events.parquet"
SPEND, EVENTS = "spend per model and month", "events of one job"
ROUNDS = 15
Query = Callable[[Path], Any]
Rows = Callable[[Any], Iterable[tuple[Any, ...]]]


def copy(ours: Path, theirs: Path) -> dict[str, list[int]]:
    """Write the same rows with DuckDB; the sizes."""
    import duckdb

    theirs.mkdir()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in TABLES:
            connection.execute(f"COPY (FROM '{ours / name}') TO '{theirs / name}' (FORMAT parquet, COMPRESSION zstd)")
    return {name: [(folder / name).stat().st_size for folder in (ours, theirs)] for name in TABLES}


def with_duckdb(job: str) -> tuple[Query, Query, Rows]:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")

    def spend(folder: Path) -> Any:
        return connection.execute(
            "SELECT model, strftime(created_at, '%Y-%m') AS month, sum(total_price_usd)"
            f" FROM '{folder / 'jobs.parquet'}' GROUP BY ALL"
        ).fetchall()

    def events(folder: Path) -> Any:
        return connection.execute(
            f"SELECT position, type, message FROM '{folder / 'events.parquet'}' WHERE job_id = ? ORDER BY position",
            [job],
        ).fetchall()

    return spend, events, list


def with_polars(job: str) -> tuple[Query, Query, Rows]:
    import polars as pl

    def spend(folder: Path) -> Any:
        month = pl.col("created_at").dt.strftime("%Y-%m").alias("month")
        lines = pl.scan_parquet(folder / "jobs.parquet")
        return lines.group_by("model", month).agg(pl.col("total_price_usd").sum()).collect()

    def events(folder: Path) -> Any:
        lines = pl.scan_parquet(folder / "events.parquet").filter(pl.col("job_id") == job)
        return lines.select("position", "type", "message").sort("position").collect()

    return spend, events, lambda found: found.rows()


def with_pandas(job: str) -> tuple[Query, Query, Rows]:
    import pandas as pd

    def spend(folder: Path) -> Any:
        columns = ["model", "created_at", "total_price_usd"]
        jobs = pd.read_parquet(folder / "jobs.parquet", columns=columns, dtype_backend="pyarrow")
        month = jobs["created_at"].dt.strftime("%Y-%m").rename("month")
        return jobs.groupby(["model", month])["total_price_usd"].sum().reset_index()

    def events(folder: Path) -> Any:
        columns, filters = ["position", "type", "message"], [("job_id", "==", job)]
        path = folder / "events.parquet"
        return pd.read_parquet(path, columns=columns, filters=filters, dtype_backend="pyarrow").sort_values("position")

    return spend, events, lambda found: found.itertuples(index=False, name=None)


ENGINES = {"duckdb": with_duckdb, "polars": with_polars, "pandas": with_pandas}


def compare(engine: str, folders: list[Path]) -> dict[str, list[float]]:
    """For each query the median over each folder."""
    ids = pq.read_table(folders[0] / "jobs.parquet", columns=["job_id"])["job_id"]
    spend, events, rows = ENGINES[engine](ids[len(ids) // 2].as_py())
    found: dict[str, list[float]] = {}
    for name, query in {SPEND: spend, EVENTS: events}.items():
        one, other = (sorted(rows(query(folder)), key=repr) for folder in folders)
        if not one or one != other:
            raise ValueError(f"{name}: {len(one)} rows here, {len(other)} there, or not the same ones")
        seconds: dict[Path, list[float]] = {folder: [] for folder in folders}
        for _ in range(ROUNDS):
            for folder in folders:
                start = time.perf_counter()
                query(folder)
                seconds[folder].append(time.perf_counter() - start)
        found[name] = [statistics.median(seconds[folder]) for folder in folders]
    return found


if __name__ == "__main__":
    work, *paths = sys.argv[1:]
    places = [Path(path) for path in paths]
    print(json.dumps(copy(*places) if work == "copy" else compare(work, places)))
