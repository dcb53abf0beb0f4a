"""Imports what is slow to import in a thread, beside what a run does before it needs it."""

from __future__ import annotations

import threading


def preload_validation() -> None:
    """Import what the validation needs, in a thread."""

    def preload() -> None:
        from ftetl.validate import table_checks

        table_checks.preload()

    threading.Thread(target=preload, daemon=True).start()
