"""ftetl beside its rivals: the same invented answer, whole processes, one table.

    python -m tests.benchmarks                       50,000 jobs, 1,000,000 events, three runs of each
    python -m tests.benchmarks --jobs 2000 --runs 1 --only ftetl,duckdb

Each contender reads the same jobs and writes `jobs` and `events` as Parquet; what it wrote is counted and summed
before its time is believed. The rivals do less than ftetl: the head of each script in `rivals/` says what. Runs are
interleaved, so that a busy minute hits all alike; on a shared machine compare the CPU seconds too. Nothing is
asserted about time.

Only the standard library is imported here: on Linux a child's peak memory starts at its parent's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RIVALS = {
    "duckdb": "duckdb_sql.py",
    "polars": "polars_lazy.py",
    "pandas": "pandas_normalize.py",
    "dlt": "dlt_pipeline.py",
}
CONTENDERS = ["ftetl", *RIVALS]
FORMS = ["ndjson", "json", "ndjson.gz", "ndjson.zst", "json.gz", "json.zst"]
PACKAGES = ["ftetl", "duckdb", "polars", "pandas", "pyarrow", "dlt"]
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # of `ru_maxrss`, in bytes


@dataclass(frozen=True)
class Facts:
    """What the invented answer holds."""

    jobs: int
    events: int
    nanousd: int
    bytes: int  # of JSON, before any compression


@dataclass(frozen=True)
class Run:
    """What one process took."""

    seconds: float
    cpu: float
    peak: int  # bytes, of the largest process if there were several


class FailedError(Exception):
    """A contender that did not run to its end, or wrote something else than the others."""


def made(file: Path, jobs: int, events: int) -> Facts:
    """The invented answer, written unless an earlier call in this folder has done so."""
    note = file.with_name(file.name + ".facts")
    if not note.exists():
        command = [sys.executable, HERE / "make.py", file, "--jobs", str(jobs), "--events", str(events)]
        note.write_text(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    with file.open("rb") as lines:  # so that the first contender does not pay for the disk
        while lines.read(1 << 20):
            pass
    return Facts(**json.loads(note.read_text()))


def measured(command: Sequence[str | Path], folder: Path) -> Run:
    """Run a command to its end.

    Raises:
        FailedError: It could not be started, or ended otherwise than with 0.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    log = folder / "log"
    with log.open("wb") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = (log.read_text(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise FailedError(f"exit {process.returncode}: {last[:160]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * PEAK_UNIT)


def run(name: str, file: Path, lines: Path, facts: Facts, scratch: Path) -> Run:
    """One run of a contender into a folder of its own, which is gone afterwards.

    Raises:
        FailedError: It failed, or wrote other rows than there are.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch))
    try:
        if name == "ftetl":
            target = folder / "target"
            export = ["export", target, "--from", file, "--events", "list", "-q"]
            found = measured([sys.executable, "-m", "ftetl", *export], folder)
            written = target / "current"
        else:
            found = measured([sys.executable, HERE / "rivals" / RIVALS[name], lines, folder], folder)
            written = folder
        check = [sys.executable, HERE / "outcome.py", written]
        result = subprocess.run(check, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        expected = {"jobs": facts.jobs, "events": facts.events, "nanousd": facts.nanousd}
        if result.returncode or json.loads(result.stdout) != expected:
            raise FailedError(f"wrote {result.stdout.strip() or 'no tables'} instead of {json.dumps(expected)}")
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(runs: dict[str, list[Run]], facts: Facts) -> str:
    """The result in Markdown, fastest first."""
    rows = [
        "| contender | seconds | CPU s | MB/s | events/s | peak MB | ratio to ftetl |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    seconds = {name: statistics.median(one.seconds for one in found) for name, found in runs.items()}
    for name in sorted(seconds, key=seconds.__getitem__):
        wall = seconds[name]
        ratio = f"{wall / seconds['ftetl']:.2f} x" if "ftetl" in seconds else "-"
        cpu = statistics.median(one.cpu for one in runs[name])
        peak = statistics.median(one.peak for one in runs[name])
        rows.append(
            f"| {name} | {wall:.2f} | {cpu:.2f} | {facts.bytes / 1e6 / wall:,.0f} | {facts.events / wall:,.0f}"
            f" | {peak / 1e6:,.0f} | {ratio} |"
        )
    return "\n".join(rows)


def versions() -> str:
    """The versions of everything that ran."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} from this checkout" if package == "ftetl" else f"{package} missing")
    return ", ".join(found)


def compare(options: argparse.Namespace, scratch: Path) -> int:
    """Make the data, run everybody, print the table; 1 if somebody who ran was wrong or failed."""
    stem = f"{options.jobs}x{options.events}"
    lines = scratch / f"{stem}.ndjson"
    facts = made(lines, options.jobs, options.events)
    file = scratch / f"{stem}.{options.format}"
    made(file, options.jobs, options.events)
    runs: dict[str, list[Run]] = {name: [] for name in options.only}
    failed: dict[str, str] = {}
    for number in range(options.runs):
        for name in runs:
            if name in failed:
                continue
            try:
                runs[name].append(run(name, file, lines, facts, scratch))
                print(f"{name} {number + 1}/{options.runs}: {runs[name][-1].seconds:.2f} s", file=sys.stderr)
            except FailedError as error:
                failed[name] = str(error)
                print(f"{name} left out: {error}", file=sys.stderr)
    counted = {name: found for name, found in runs.items() if name not in failed}
    print(f"{facts.jobs:,} jobs, {facts.events:,} events, {facts.bytes / 1e6:,.0f} MB of JSON", end="; ")
    print(f"median of {options.runs}, {os.cpu_count()} cores; ftetl reads {options.format}, the others ndjson\n")
    print(table(counted, facts))
    print(f"\nAll in the table wrote the same number of jobs and events and the same sum of prices. {versions()}.")
    for name, message in failed.items():
        print(f"\n{name} is left out: {message}")
    return 1 if failed else 0


def chosen(text: str) -> list[str]:
    """The contenders of a comma-separated list."""
    found = text.split(",")
    if unknown := set(found) - set(CONTENDERS):
        raise argparse.ArgumentTypeError(f"no such contender: {', '.join(sorted(unknown))}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="ftetl beside its rivals.")
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--events", type=int, default=20, help="of each job")
    parser.add_argument("--runs", type=int, default=3, help="of each contender")
    parser.add_argument("--only", type=chosen, default=CONTENDERS, metavar="NAMES", help=",".join(CONTENDERS))
    parser.add_argument("--format", choices=FORMS, default="ndjson", help="of the file that ftetl reads")
    parser.add_argument(
        "--scratch", type=Path, help="keep the data here for the next call (default: a temporary folder)"
    )
    options = parser.parse_args()
    if options.scratch:
        options.scratch.mkdir(parents=True, exist_ok=True)
        return compare(options, options.scratch.resolve())
    with tempfile.TemporaryDirectory(prefix="ftetl-benchmark-") as folder:
        return compare(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
