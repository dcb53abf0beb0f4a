"""ftetl beside its rivals: the same invented answer, whole processes, tables in Markdown.

    python -m tests.benchmarks                       50,000 jobs, 1,000,000 events, five runs of each
    python -m tests.benchmarks --jobs 2000 --runs 1 --only ftetl,duckdb
    python -m tests.benchmarks --suite --check       all cases, and whether the bars are held (an hour, 10 GB of disk)
    python -m tests.benchmarks --suite --scale 0.01 --runs 1

Each contender reads the same jobs and writes `jobs` and `events` as Parquet; what it wrote is counted and summed
before its time is believed. The rivals do less than ftetl: the head of each script in `rivals/` says what. Runs are
interleaved, so that a busy minute hits all alike; on a shared machine compare the CPU seconds too. Nothing is
asserted about time, unless `--check` asks for it.

Only the standard library is imported here: on Linux a child's peak memory starts at its parent's.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

if not __package__:  # `python tests/benchmarks`
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import thresholds
from tests.benchmarks.cases import CASES, CONTENDERS, Case, Result, race, report
from tests.benchmarks.read_performance import reading
from tests.benchmarks.startup import small

FORMS = ["ndjson", "json", "ndjson.gz", "ndjson.zst", "json.gz", "json.zst"]
PACKAGES = ["ftetl", "duckdb", "polars", "pandas", "pyarrow", "dlt"]
SMALL, READING = "small", "reading"  # beside the cases
NAMES = [case.name for case in CASES]


def versions() -> str:
    """The versions of everything that ran."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} from this checkout" if package == "ftetl" else f"{package} missing")
    return f"{os.cpu_count()} cores, {', '.join(found)}"


def compare(options: argparse.Namespace, scratch: Path) -> int:
    """One case, as the options describe it; 1 if somebody who ran was wrong or failed."""
    case = Case("", options.jobs, options.events, tuple(options.only), options.format, options.odd)
    result = race(case, options.runs, scratch)
    report(case, result, options.runs)
    print(f"\nAll with a time wrote the same number of jobs and events and the same sum of prices. {versions()}.")
    return 1 if result.failed else 0


def suite(options: argparse.Namespace, scratch: Path) -> int:
    """The chosen cases; 1 if ftetl failed in one, or with `--check` if a bar is missed."""
    print(f"{versions()}.")
    results: dict[str, Result] = {}
    for case in (one.scaled(options.scale) for one in CASES if one.name in options.cases):
        results[case.name] = race(case, options.runs, scratch)
        report(case, results[case.name], options.runs)
        tidy(options, scratch)
    found = thresholds.of_cases(results)
    if SMALL in options.cases:
        found += small(options.runs, scratch)
    if READING in options.cases:
        case = next(one for one in CASES if one.name == "50000").scaled(options.scale)
        lines, more = reading(case, scratch)
        print(f"\n### Reading the tables of {case.title}\n\n{lines}")
        found += more
    scaled = "" if options.scale == 1 else f", at {options.scale:g} of the size that they are meant for"
    print(f"\n### The bars{scaled}\n\n{thresholds.table(found)}")
    missed = options.check and not all(bar.held for bar in found)
    return 1 if missed or any("ftetl" in result.failed for result in results.values()) else 0


def tidy(options: argparse.Namespace, scratch: Path) -> None:
    """Room for the next case, unless the data is to be kept."""
    if not options.scratch:
        for file in scratch.iterdir():
            file.unlink()


def named(known: list[str]) -> Callable[[str], list[str]]:
    """A comma-separated list of known names, as an argument's type."""

    def chosen(text: str) -> list[str]:
        found = text.split(",")
        if unknown := set(found) - set(known):
            raise argparse.ArgumentTypeError(f"not known: {', '.join(sorted(unknown))}")
        return found

    return chosen


def main() -> int:
    everything = [*NAMES, SMALL, READING]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="ftetl beside its rivals.")
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--events", type=int, default=20, help="of each job")
    parser.add_argument("--odd", type=float, default=0, help="per cent of the jobs with a value of a wrong type")
    parser.add_argument("--runs", type=int, default=5, help="of each contender")
    parser.add_argument(
        "--only", type=named([*CONTENDERS]), default=CONTENDERS, metavar="NAMES", help=",".join(CONTENDERS)
    )
    parser.add_argument("--format", choices=FORMS, default="ndjson", help="of the file that ftetl reads")
    parser.add_argument("--suite", action="store_true", help="all cases, instead of the one that is described above")
    parser.add_argument(
        "--cases", type=named(everything), default=everything, metavar="NAMES", help=",".join(everything)
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of the suite's sizes")
    parser.add_argument("--check", action="store_true", help="with --suite: exit 1 where a bar is missed")
    parser.add_argument(
        "--scratch", type=Path, help="keep the data here for the next call (default: a temporary folder)"
    )
    options = parser.parse_args()
    work = suite if options.suite else compare
    if options.scratch:
        options.scratch.mkdir(parents=True, exist_ok=True)
        return work(options, options.scratch.resolve())
    with tempfile.TemporaryDirectory(prefix="ftetl-benchmark-") as folder:
        return work(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
