"""The progress of a run on a terminal."""

from __future__ import annotations

import threading
from typing import Any

import rich.progress
from rich.console import Console

from ftetl.formatting import format_bytes
from ftetl.pipeline.progress import Progress


class _BarOrSpinner(rich.progress.BarColumn):
    """A bar; a spinner where the total is unknown, for which rich shows a bar that looks full."""

    def __init__(self) -> None:
        super().__init__()
        self._spinner = rich.progress.SpinnerColumn("line")  # ASCII, for every locale

    def render(self, task: rich.progress.Task) -> Any:
        """The bar or the spinner of a task."""
        return self._spinner.render(task) if task.total is None else super().render(task)


class ProgressBar(Progress):
    """Bytes, details and jobs as bars of rich; called from any thread."""

    def __init__(self) -> None:
        self.display = rich.progress.Progress(
            rich.progress.TextColumn("{task.description:<9}"),
            _BarOrSpinner(),
            rich.progress.TextColumn("{task.fields[note]}"),
            rich.progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._lock = threading.Lock()

    def received(self, total: int) -> None:
        """Show the bytes received so far."""
        self._show("receiving", None, None, format_bytes(total))

    def details(self, done: int, total: int) -> None:
        """Show the details fetched."""
        self._show("details", done, total, f"{done:,} of {total:,}")

    def jobs(self, done: int, total: int) -> None:
        """Show the jobs written."""
        self._show("jobs", done, total, f"{done:,} of {total:,}")

    def _show(self, name: str, done: int | None, total: int | None, note: str) -> None:
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self.display.add_task(name, total=total, note=note)
        self.display.update(self._tasks[name], completed=done, total=total, note=note)
