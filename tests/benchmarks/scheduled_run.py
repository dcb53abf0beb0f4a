"""What a scheduled export costs: the details of many jobs, and a second run in which little has changed.

    python -m tests.benchmarks.scheduled_run                  all three, at full size (some minutes)
    python -m tests.benchmarks.scheduled_run --scale 0.1      a tenth of the jobs
    python -m tests.benchmarks.scheduled_run --check          exit 1 where a bar is missed

1. Details: every job of a list asked for at a stand-in that takes 20 ms for each. The bar is 1.3 times what the latency
   alone costs (latency x jobs / concurrency).
2. A second run against the service, with 1 % of the jobs changed: at most half of the first run's time.
3. The same with saved responses that carry the events, where there is nothing to ask for.

Only the standard library is imported here: on Linux a child's peak memory starts at its parent's.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.measure import HERE, THIS, Run, made, measured

LATENCY, CONCURRENCY, OVERHEAD = 0.02, 8, 1.3
SHARE = 0.5  # of the first run's time that a second run with 1 % changed jobs may take
KEY = "a-key-that-nobody-checks"


@contextmanager
def service(file: Path, latency: float) -> Iterator[str]:
    """The stand-in, and its address."""
    command = [sys.executable, HERE / "fake_api.py", file, "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def asked(url: str, path: str) -> str:
    """What the stand-in says about itself."""
    with urllib.request.urlopen(url.removesuffix("/v1") + path) as answer:
        text: str = answer.read().decode()
        return text


def export(target: Path, *words: str | Path, program: Sequence[str | Path] = THIS) -> Run:
    """One export as its own process."""
    common = ["--deadline", "3600", "--concurrency", str(CONCURRENCY), "-q"]
    return measured(
        ["env", f"TOGETHER_API_KEY={KEY}", *program, "export", target, *words, *common],
        target.parent,
    )


def changed(file: Path, later: Path) -> None:
    """Write the answer in which 1 % of the jobs have changed; in a process of its own, so that ours stays small."""
    subprocess.run([sys.executable, HERE / "changed_dataset.py", file, later], check=True)


def row(name: str, found: Run, ratio: str, note: str) -> bool:
    """Print one line of the table."""
    print(
        f"| {name} | {found.seconds:.2f} | {found.cpu:.2f} | {found.peak / 1e6:,.0f} | {ratio} | {note} |", flush=True
    )
    return True


def details(scratch: Path, jobs: int) -> bool:
    """The first benchmark; whether its bar is held."""
    file = scratch / f"{jobs}x20.ndjson"
    made(file, jobs, 20)
    with service(file, LATENCY) as url, tempfile.TemporaryDirectory(dir=scratch) as folder:
        found = export(Path(folder) / "target", "--base-url", url)
        requests = int(asked(url, "/requests")) - 1
    floor = LATENCY * jobs / CONCURRENCY
    row(
        f"{jobs:,} details of 20 ms",
        found,
        f"{found.seconds / floor:.2f} x latency",
        f"bar {OVERHEAD} x; {requests:,} requests",
    )
    return found.seconds <= OVERHEAD * floor


def second_run(scratch: Path, jobs: int) -> bool:
    """The second benchmark."""
    file = scratch / f"{jobs}x20.ndjson"
    made(file, jobs, 20)
    with service(file, 0) as url, tempfile.TemporaryDirectory(dir=scratch) as folder:
        target = Path(folder) / "target"
        first = export(target, "--base-url", url)
        before = int(asked(url, "/requests"))
        asked(url, "/change?percent=1")
        second = export(target, "--base-url", url)
        requests = int(asked(url, "/requests")) - before - 2
    return compared(f"service, {jobs:,} jobs", first, second, f"{requests:,} requests")


def second_file(scratch: Path, jobs: int) -> bool:
    """The third benchmark."""
    file, later = scratch / f"{jobs}x20.json", scratch / f"{jobs}x20-later.json"
    made(file, jobs, 20)
    changed(file, later)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        target = Path(folder) / "target"
        first = export(target, "--from", file)
        second = export(target, "--from", later)
        same = export(target, "--from", later)
    later.unlink()
    held = compared(f"saved, {jobs:,} jobs", first, second, "")
    row(f"saved, {jobs:,} jobs, nothing changed", same, f"{same.seconds / first.seconds:.2f} x first", "no bar")
    return held


def compared(name: str, first: Run, second: Run, note: str) -> bool:
    """Print a first run and a second one; whether the bar is held."""
    row(f"{name}, first run", first, "", "")
    row(f"{name}, 1 % changed", second, f"{second.seconds / first.seconds:.2f} x first", f"bar {SHARE} x; {note}")
    return second.seconds <= SHARE * first.seconds


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scheduled_run", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of 10,000 and 50,000 jobs")
    parser.add_argument("--only", default="details,service,saved")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bar is missed")
    parser.add_argument("--scratch", type=Path, help="keep the data here for the next call")
    options = parser.parse_args()
    work = {"details": (details, 10_000), "service": (second_run, 50_000), "saved": (second_file, 50_000)}
    print("| what | seconds | CPU s | peak MB | ratio | |\n|---|--:|--:|--:|--:|---|")
    with tempfile.TemporaryDirectory(prefix="ftetl-benchmark-") as folder:
        scratch = (options.scratch or Path(folder)).resolve()
        scratch.mkdir(parents=True, exist_ok=True)
        held = [work[name][0](scratch, int(work[name][1] * options.scale)) for name in options.only.split(",")]
    return 0 if all(held) or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
