"""The same targets as in the tests of snapshots."""

from __future__ import annotations

from tests.snapshot.conftest import target, two_versions

__all__ = ["target", "two_versions"]
