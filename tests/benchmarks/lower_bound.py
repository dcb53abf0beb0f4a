"""What no run of ftetl can be quicker than: its imports, and Arrow's reader alone, beside DuckDB's whole job.

    python -m tests.benchmarks.lower_bound [--jobs 50000] [--events 20] [--runs 3] [--scratch FOLDER]

Each is a process of its own. The reader gets whole lines in the order of the file, in as many threads as ftetl gives
it, and with the schema of the contracts; nothing is scanned, flattened, checked or written.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

if not __package__:  # `python tests/benchmarks/lower_bound.py`
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.cases import Case
from tests.benchmarks.measure import Run, measured, own_folder, run
from tests.benchmarks.startup import BARE

READER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from ftetl import ahead, decode, fast
from ftetl.transform.decode.union_fields import rename_union_keys

def pieces(file):
    rest = b""
    while more := file.read(decode.BATCH):
        body = rest + more
        cut = body.rfind(b"\\n") + 1
        rest = body[cut:]
        yield bytearray(body[:cut])

def read(body):
    rename_union_keys(body, len(body))
    return fast.read(memoryview(body), body.count(b"\\n")).num_rows

def some(_):
    count = 0
    while True:
        with turn:
            body = next(waiting, None)
        if body is None:
            return count
        count += read(body)

turn = Lock()
with Path(sys.argv[1]).open("rb") as file, ThreadPoolExecutor(ahead.THREADS) as pool:
    waiting = pieces(file)
    print(sum(pool.map(some, range(ahead.THREADS))))
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.lower_bound", description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--events", type=int, default=20, help="of each job")
    parser.add_argument("--runs", type=int, default=3, help="of each, in turn")
    parser.add_argument("--scratch", type=Path, help="keep the data here for the next call")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ftetl-benchmark-") as folder:
        scratch = (options.scratch or Path(folder)).resolve()
        scratch.mkdir(parents=True, exist_ok=True)
        print(table(Case("", options.jobs, options.events), options.runs, scratch))


def table(case: Case, runs: int, scratch: Path) -> str:
    """The medians in Markdown."""
    file, facts = case.answer(scratch, "ndjson")
    found: dict[str, list[Run]] = {}
    for _ in range(runs):
        with own_folder(scratch, "floor") as folder:
            found.setdefault("the bare imports", []).append(measured(BARE, folder))
            reader: list[str | Path] = [sys.executable, "-c", READER, file]
            found.setdefault("Arrow's reader alone", []).append(measured(reader, folder))
        for name in ("duckdb", "ftetl"):
            found.setdefault(f"{name}, all", []).append(run(name, file, facts, scratch))
    rows = [f"{case.title}\n", "| what | seconds | CPU s | peak MB |", "|---|--:|--:|--:|"]
    for name, each in found.items():
        middle = [statistics.median(getattr(one, what) for one in each) for what in ("seconds", "cpu", "peak")]
        rows.append(f"| {name} | {middle[0]:.2f} | {middle[1]:.2f} | {middle[2] / 1e6:,.0f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
