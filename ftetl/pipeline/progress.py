"""The progress of a run, for whoever displays it."""

from __future__ import annotations


class Progress:
    """Called while a run works, from any thread; this one displays nothing."""

    def received(self, total: int) -> None:
        """`total` bytes have been received so far."""

    def details(self, done: int, total: int) -> None:
        """`done` of `total` details have been fetched."""

    def jobs(self, done: int, total: int) -> None:
        """`done` of `total` jobs have been written to the tables."""
