"""How long Spark takes for the tables with one worker and with two, and how much memory its processes need.

    python -m tests.benchmarks.spark_workers --jobs 50000 --files 4 --workers 1 2

Each worker has one core. What was measured is printed as one JSON object a line: seconds of the first call of
`ftetl.spark.tables` in a new session, of the second one, and the largest resident memory of one of the Java and one of
the Python processes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks import generate
from tests.spark import cluster

EVENTS = 20  # of each job


def make_archive(folder: Path, jobs: int, files: int) -> dict[str, int]:
    """A list of jobs, or several files of lines; how many jobs and events, the sum of prices, and the bytes of JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    if files == 1:
        return generate.make(folder / "list.json", jobs=jobs, count=EVENTS)
    whole = folder.with_name(f"{folder.name}.ndjson")
    made = generate.make(whole, jobs=jobs, count=EVENTS)
    with whole.open("rb") as lines:
        for number in range(files):
            with (folder / f"lines{number}.ndjson").open("wb") as file:
                file.writelines(islice(lines, -(-jobs // files)))
    whole.unlink()
    return made


class PeakMemory:
    """The largest resident memory of each kind of process below some others, looked at four times a second."""

    def __init__(self) -> None:
        self.bytes = {"java": 0, "python": 0}
        self._stop = threading.Event()

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure while the block runs."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            for process in psutil.Process().children(recursive=True):
                try:
                    kind = "java" if "java" in process.name() else "python"
                    self.bytes[kind] = max(self.bytes[kind], process.memory_info().rss)
                except psutil.Error:
                    continue


@contextmanager
def session(address: str) -> Iterator[Any]:
    """A session in a cluster."""
    from pyspark.sql import SparkSession

    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    builder = SparkSession.builder.master(address).config("spark.ui.enabled", "false")
    builder = builder.config("spark.executor.memory", "768m").config("spark.ui.showConsoleProgress", "false")
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


def measure(archive: Path, workers: int) -> dict[str, float]:
    """Two calls with so many workers."""
    import ftetl.spark

    seconds, memory = [], PeakMemory()
    with (
        tempfile.TemporaryDirectory(prefix="spark-") as folder,
        cluster.running(Path(folder), workers=workers) as address,
        session(address) as spark,
        memory.measured(),
    ):
        for _ in range(2):
            start = time.perf_counter()
            with ftetl.spark.tables(spark, archive) as made:
                rows = dict(made.rows)
            seconds.append(round(time.perf_counter() - start, 2))
    peak = {f"{kind}_mb": size >> 20 for kind, size in memory.bytes.items()}
    return {"workers": workers, "jobs": rows["jobs"], "first": seconds[0], "second": seconds[1], **peak}


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="archive-") as folder:
        print(json.dumps(make_archive(Path(folder), options.jobs, options.files)), flush=True)
        for workers in options.workers:
            print(json.dumps(measure(Path(folder), workers)), flush=True)


if __name__ == "__main__":
    main()
