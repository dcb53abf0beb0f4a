"""The data file of the demo: where it is, and the JSON that it must hold."""

from __future__ import annotations

import json
from pathlib import Path

from tests.demo.generator.generate import generate_jobs

PATH = Path(__file__).parents[3] / "ftetl" / "demo" / "jobs.json.gz"


def demo_json() -> bytes:
    """The jobs of the demo as a JSON array, one job a line."""
    lines = [json.dumps(job, separators=(",", ":")) for job in generate_jobs()]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()
