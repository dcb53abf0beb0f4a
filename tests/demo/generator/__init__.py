"""Invents fine-tuning jobs: the same for the same seed and count. `python -m tests.demo.generator` ships them."""

from __future__ import annotations

from tests.demo.generator.generate import COUNT, SEED, generate_jobs

__all__ = ["COUNT", "SEED", "generate_jobs"]
