"""Loading a snapshot into PostgreSQL beside a bare COPY of its CSV files by psql, into tables with the same keys.

    python -m tests.benchmarks.load_postgres                  50,000 jobs, 1,000,000 events, five runs of each
    python -m tests.benchmarks.load_postgres --scale 0.1      a tenth of the jobs
    python -m tests.benchmarks.load_postgres --check          exit 1 where the bar is missed

Both are whole processes and load all tables, each in one transaction, into an empty database of a server that is
started for it. ftetl also checks the files' SHA-256, makes indexes and comments, and counts the rows. Then the same
snapshot is loaded again, which changes nothing.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import postgres
from tests.benchmarks.measure import Run, made, measured

BAR = 1.3  # of psql's time
TARGET, BARE, OURS, AGAIN = "target", "psql, \\copy", "ftetl load", "ftetl load, again"

SCRIPT = """
from functools import partial
from ftetl.contract import sql, tables
from ftetl.contract.arrow_schema import schema
kind = partial(sql.column_type, database=sql.POSTGRES)
for table in tables().values():
    key = [f"PRIMARY KEY ({sql.quoted_list(table.key)})"]
    print(sql.create_table(sql.quoted(table.name), schema(table), kind, key) + ";")
    print(f"\\\\copy {table.name} FROM '{table.name}.csv' WITH (FORMAT csv, HEADER true)")
"""


def bare_copy(database: postgres.Database, target: Path, scratch: Path) -> Run:
    """Make the tables and copy their CSV files."""
    assert postgres.BIN is not None
    script = scratch / "copy.sql"
    script.write_bytes(subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True).stdout)
    psql = [postgres.BIN / "psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", script, database.url]
    return measured(["env", "-C", (target / "current").resolve(), *psql], scratch)


def load(database: postgres.Database, target: Path, scratch: Path) -> Run:
    """One load as its own process."""
    return measured([sys.executable, "-m", "ftetl", "load", target, database.url, "-q"], scratch)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.load_postgres", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit 1 where the bar is missed")
    options = parser.parse_args()
    jobs = round(50_000 * options.scale)
    found: dict[str, list[Run]] = {BARE: [], OURS: [], AGAIN: []}
    with tempfile.TemporaryDirectory(prefix="ftetl-benchmark-") as folder, postgres.running() as server:
        scratch = Path(folder)
        file, target = scratch / "jobs.ndjson", scratch / TARGET
        made(file, jobs, 20)
        words = ["export", target, "--from", file, "--format", "csv", "--csv-raw", "-q"]
        measured([sys.executable, "-m", "ftetl", *words], scratch)
        for _ in range(options.runs):
            with server.database() as database:
                found[BARE].append(bare_copy(database, target, scratch))
            with server.database() as database:
                found[OURS].append(load(database, target, scratch))
                found[AGAIN].append(load(database, target, scratch))
    return report(found, check=options.check)


def report(found: dict[str, list[Run]], *, check: bool) -> int:
    """Print medians as a table; 1 where the bar is to be checked and is missed."""
    least = statistics.median(run.seconds for run in found[BARE])
    print("| | seconds | CPU of the client | peak MB | of psql's time |\n| --- | --- | --- | --- | --- |")
    for name, runs in found.items():
        seconds, cpu, peak = (
            statistics.median(getattr(run, what) for run in runs) for what in ("seconds", "cpu", "peak")
        )
        print(f"| {name} | {seconds:.2f} | {cpu:.2f} | {peak / 1e6:,.0f} | {seconds / least:.2f} |")
    ratio = statistics.median(run.seconds for run in found[OURS]) / least
    print(f"\nThe bar is {BAR} of psql's time: {'held' if ratio <= BAR else 'missed'}.")
    return int(check and ratio > BAR)


if __name__ == "__main__":
    sys.exit(main())
