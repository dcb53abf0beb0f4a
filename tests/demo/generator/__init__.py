"""Generates the jobs of the demo; `python -m tests.demo.generator` writes the data file that the package ships."""

from __future__ import annotations

from tests.demo.generator.generate import COUNT, SEED, generate_jobs

__all__ = ["COUNT", "SEED", "generate_jobs"]
