"""The progress of a run, for whoever displays it."""

from __future__ import annotations

import logging


class Progress:
    """Called while a run works, from any thread; this one displays nothing."""

    def received(self, total: int) -> None:
        """`total` bytes have been received so far."""

    def details(self, done: int, total: int) -> None:
        """`done` of `total` details have been fetched."""

    def jobs(self, done: int, total: int) -> None:
        """`done` of `total` jobs have been written to the tables."""


def log_step(log: logging.Logger, event: str, **fields: float) -> None:
    """Log a step that is done: as text `event key=value ...`, and with the fields as data for JSON lines."""
    text = " ".join(f"{k}={v:.3f}" if isinstance(v, float) else f"{k}={v}" for k, v in fields.items())
    log.info("%s %s", event, text, extra={"fields": fields})
