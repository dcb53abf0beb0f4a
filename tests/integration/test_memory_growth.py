"""What a run's memory grows with: a few numbers and the id of each job, never the answer itself.

An answer is read in pieces, and so many pieces are held whatever its length; beyond that, what is kept of each job is
of constant size. So the peak of two answers, both longer than the pieces that are held, tells that of a third.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

JOBS = 140_000, 210_000  # of 20 events; more than a row group of jobs holds, so that all that is held at once is full
RUNS = 1  # of each
ANSWER, MEMORY = 4_000_000_000, 1_200_000_000  # the promise: so long an answer is exported within so much memory
PATIENCE = 300  # seconds until a run that hangs is ended
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # of `ru_maxrss`, in bytes

# A process of its own stands between: on Linux a child's peak memory starts at its parent's, and pytest's is large.
SMALL_PARENT = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


class Size(NamedTuple):
    """An answer's length and the peak of its export, in bytes."""

    length: int
    peak: int


def peak(root: Path, file: Path, target: Path) -> int:
    """The peak memory of one export."""
    export: list[str | Path] = [
        sys.executable,
        "-m",
        "ftetl",
        "export",
        target,
        "--from",
        file,
        "--events",
        "list",
        "-q",
    ]
    with subprocess.Popen(
        [sys.executable, "-c", SMALL_PARENT, *export],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        watch = threading.Timer(PATIENCE, os.killpg, (process.pid, 9))
        watch.start()
        try:
            said, _ = process.communicate()
        finally:
            watch.cancel()
    assert process.returncode == 0
    return int(said) * PEAK_UNIT


def measured(root: Path, folder: Path, jobs: int) -> Size:
    """An answer of so many jobs, and what its export takes."""
    file = folder / f"{jobs}.ndjson"
    make: list[str | Path] = [sys.executable, root / "tests" / "benchmarks" / "generate.py", file, "--jobs", str(jobs)]
    facts = json.loads(subprocess.run(make, check=True, stdout=subprocess.PIPE, text=True).stdout)
    peaks = [peak(root, file, folder / f"{jobs}-{number}") for number in range(RUNS)]
    file.unlink()
    return Size(facts["bytes"], int(statistics.median(peaks)))


@pytest.mark.slow
def test_four_gigabytes_are_exported_within_a_fraction_of_their_length(root: Path, tmp_path: Path) -> None:
    less, more = (measured(root, tmp_path, jobs) for jobs in JOBS)

    share = (more.peak - less.peak) / (more.length - less.length)
    expected = more.peak + share * (ANSWER - more.length)

    assert expected <= MEMORY, f"{less}, {more}: {share:.3f} bytes of memory for each byte"
