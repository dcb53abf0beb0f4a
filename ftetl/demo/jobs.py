"""The invented jobs of the demo, from the data file of this package.

`python -m tests.demo.generator` writes `jobs.json.gz`; its modules say how the jobs are invented.
"""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

OBSERVED_AT = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)  # every job is in the state that it had then


def load_jobs() -> list[dict[str, Any]]:
    """All jobs as `GET /fine-tunes/{id}` returns them, the oldest first. Amounts are in nano-USD."""
    jobs: list[dict[str, Any]] = json.loads(gzip.decompress(files("ftetl.demo").joinpath("jobs.json.gz").read_bytes()))
    return jobs
