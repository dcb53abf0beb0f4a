"""Chance that repeats itself: one source of random numbers for each purpose.

A purpose of its own means that one more draw for one job changes no other.
"""

from __future__ import annotations

from random import Random


def chance(seed: int, *purpose: object) -> Random:
    """The same numbers for the same seed and purpose, in every process and on every machine."""
    # Random hashes text by SHA-512 itself, so that PYTHONHASHSEED does not matter.
    return Random("/".join(map(str, (seed, *purpose))))
