"""One process at a time: how long it took, how much memory, and whether it wrote what it should.

Only the standard library is imported here: on Linux a child's peak memory starts at its parent's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RIVALS = {
    "duckdb": "duckdb_sql.py",
    "polars": "polars_lazy.py",
    "pandas": "pandas_normalize.py",
    "dlt": "dlt_pipeline.py",
}
PATIENCE = 3600  # seconds until a process that hangs is ended
THIS = (sys.executable, "-m", "ftetl")  # the command line of this checkout
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
    """A process that did not run to its end, or wrote something else than it should."""


def made(file: Path, jobs: int, events: int, odd: float = 0) -> Facts:
    """The invented answer, written unless an earlier call in this folder has done so."""
    note = file.with_name(file.name + ".facts")
    if not note.exists():
        options = ["--jobs", str(jobs), "--events", str(events), "--odd", str(odd)]
        command: list[str | Path] = [sys.executable, HERE / "generate.py", file, *options]
        note.write_text(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    with file.open("rb") as lines:  # so that the first contender does not pay for the disk
        while lines.read(1 << 20):
            pass
    return Facts(**json.loads(note.read_text()))


def complaint(log: str) -> str:
    """The line of a log that says what went wrong, without the folders of its paths."""
    lines = log.strip().splitlines() or ["no message"]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Invalid)\w*: ", line)]
    return re.sub(r"/\S*/", "", (named or lines)[-1])[:160]


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
        watch = threading.Timer(PATIENCE, os.kill, (process.pid, signal.SIGKILL))
        watch.daemon = True
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        watch.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise FailedError(f"exit {process.returncode}: {complaint(log.read_text(errors='replace'))}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * PEAK_UNIT)


def said(command: Sequence[str | Path]) -> str:
    """What a command prints.

    Raises:
        FailedError: It ended otherwise than with 0.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise FailedError(f"exit {done.returncode}: {complaint(done.stderr)}")
    return done.stdout


def export(file: Path, target: Path, program: Sequence[str | Path] = THIS) -> list[str | Path]:
    """The command that exports a saved response with all its events."""
    drift = ["--allow-drift"] if "-odd" in file.name else []
    return [*program, "export", target, "--from", file, "--events", "list", "-q", *drift]


def check(written: Path, facts: Facts) -> None:
    """Count and sum up what was written.

    Raises:
        FailedError: It is something else than there is to write.
    """
    expected = {"jobs": facts.jobs, "events": facts.events, "nanousd": facts.nanousd}
    try:
        result = said([sys.executable, HERE / "check_output.py", written])
    except FailedError:
        raise FailedError("wrote no tables") from None
    if json.loads(result) != expected:
        raise FailedError(f"wrote {result.strip()} instead of {json.dumps(expected)}")


@contextmanager
def own_folder(scratch: Path, name: str) -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(name: str, file: Path, facts: Facts, scratch: Path) -> Run:
    """One run of a contender into a folder of its own, which is gone afterwards.

    Raises:
        FailedError: It failed, or wrote other rows than there are.
    """
    with own_folder(scratch, name) as folder:
        if name == "ftetl":
            found = measured(export(file, folder / "target"), folder)
            written = folder / "target" / "current"
        else:
            longest = facts.bytes * 5 // (facts.jobs * 4)  # DuckDB wants to know; jobs of one answer are about alike
            found = measured([sys.executable, HERE / "rivals" / RIVALS[name], file, folder, str(longest)], folder)
            written = folder
        check(written, facts)
        return found
