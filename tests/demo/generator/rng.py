"""Repeatable random numbers: one generator for each purpose, so that one more draw for one job changes no other."""

from __future__ import annotations

from random import Random


def random_for(seed: int, *purpose: object) -> Random:
    """A generator of the same numbers for the same seed and purpose, in every process and on every machine.

    The purpose is part of the seed: another word gives other jobs.
    """
    # Random hashes text by SHA-512 itself, so that PYTHONHASHSEED does not matter.
    return Random("/".join(map(str, (seed, *purpose))))
