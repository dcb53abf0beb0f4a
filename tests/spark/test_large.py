"""More raw JSON than the memory of all processes together becomes tables, whether in one file or in several."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.spark_workers import EVENTS, PeakMemory, make_archive

pytest.importorskip("pyspark", reason="the extra `spark` is not installed")

GIGABYTES = float(os.environ.get("FTETL_SPARK_GB", "20"))
JOB_BYTES = 8_250  # of the invented jobs with 20 events, about
PYTHON, JAVA = 1_500 << 20, 1_200 << 20  # bytes that one process may take, however much JSON there is


@pytest.mark.slow
@pytest.mark.parametrize("files", [1, 8])
def test_memory_does_not_grow_with_the_files(spark: Any, tmp_path: Path, files: int) -> None:
    import ftetl.spark

    jobs = int(GIGABYTES * 1e9 / JOB_BYTES) // files * files
    made = make_archive(tmp_path / "archive", jobs, files)
    memory = PeakMemory()

    with memory.measured(), ftetl.spark.tables(spark, tmp_path / "archive") as tables:
        prices = tables["jobs"].agg({"total_price_nanousd": "sum"}).collect()[0][0]

    assert tables.rows["jobs"] == jobs
    assert tables.rows["events"] == jobs * EVENTS
    assert prices == made["nanousd"]
    assert memory.bytes["python"] < PYTHON
    assert memory.bytes["java"] < JAVA
