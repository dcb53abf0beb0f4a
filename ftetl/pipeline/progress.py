"""What a run tells while it works, and how not to listen. Knows no terminal."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a run tells about itself while it works."""

    def details(self, done: int, total: int) -> None:
        """So many details have come."""

    def jobs(self, done: int, total: int) -> None:
        """So many jobs are in the tables."""


class Silent:
    """Tells nothing."""

    def details(self, done: int, total: int) -> None:
        """Nothing."""

    def jobs(self, done: int, total: int) -> None:
        """Nothing."""
