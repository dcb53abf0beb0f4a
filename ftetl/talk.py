"""What the command line says while it works and when it is done.

Talk goes to stderr, results to stdout. On a terminal: a progress bar and a short table; elsewhere one final line.
rich is imported on a terminal only. Text that came from outside is escaped before it is shown.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ftetl.errors import Exit, FtetlError
from ftetl.report import Report


class Voice:
    """How loud a command is, and in which form its result comes."""

    def __init__(self, *, quiet: bool, verbose: int, as_json: bool) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.as_json = as_json
        self.on_terminal = sys.stderr.isatty() and not as_json and not quiet
        level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
        logger = logging.getLogger("ftetl")
        logger.handlers = [logging.StreamHandler(sys.stderr)]
        logger.handlers[0].setFormatter(_Lines("%(asctime)s %(levelname)-5s %(name)s %(message)s"))
        logger.setLevel(level)
        logger.propagate = False

    def result(self, document: dict[str, Any]) -> None:
        """The result as one JSON document, where it was asked for."""
        if self.as_json:
            click.echo(json.dumps(document, ensure_ascii=False))

    def say(self, text: str = "") -> None:
        """A line for people, unless they asked for quiet or for JSON."""
        if not self.quiet and not self.as_json:
            click.echo(shown(text), err=True)

    def out(self, text: str = "") -> None:
        """A line of the result, for people."""
        if not self.as_json:
            click.echo(shown(text))

    @contextmanager
    def progress(self) -> Iterator[_Bar | None]:
        """A progress bar on a terminal; nothing elsewhere."""
        if not self.on_terminal:
            yield None
            return
        bar = _Bar()
        with bar.display:
            yield bar


class _Lines(logging.Formatter):
    """UTC to the millisecond."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        import datetime as dt

        return dt.datetime.fromtimestamp(record.created, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class _Bar:
    """Bytes, details and jobs on their way."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.display = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bytes = 0
        self._tasks: dict[str, Any] = {}

    def received(self, count: int) -> None:
        """So many more bytes have come."""
        self._bytes += count
        self._show("receiving", None, None)

    def details(self, done: int, total: int) -> None:
        """So many details have come."""
        self._show("details", done, total)

    def jobs(self, done: int, total: int) -> None:
        """So many jobs are in the tables."""
        self._show("jobs", done, total)

    def _show(self, name: str, done: int | None, total: int | None) -> None:
        note = size(self._bytes) if self._bytes else ""
        if name not in self._tasks:
            self._tasks[name] = self.display.add_task(name, total=total, note=note)
        self.display.update(self._tasks[name], completed=done or 0, total=total, note=note)


def size(count: int) -> str:
    """A number of bytes for people: `1.2 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError(count)


def shown(text: str) -> str:
    """The text with control and direction characters escaped, so that remote text cannot move the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)


def final_line(report: Report) -> str:
    """The one line that says what a run did."""
    rows = report.rows
    if not report.changed:
        what = f"nothing changed, version {report.version} stands"
    else:
        what = f"version {report.version} committed (+{report.new} ~{report.changed_jobs} gone {report.vanished})"
    tail = f"; {report.quarantined} newly in quarantine" if report.quarantined else ""
    tail += f"; {report.details['failed']} details not to be had" if report.details.get("failed") else ""
    return (
        f"ftetl: {report.exit.name} ({report.exit.code}): {report.target}: {what}: "
        f"{rows['jobs']} jobs, {rows['events']} events, {sum(report.anomalies.values())} anomalies{tail}"
    )


def summary(voice: Voice, report: Report) -> None:
    """What a run did, for people: a table on a terminal, one line elsewhere."""
    for warning in report.warnings:
        voice.say(f"warning: {warning}")
    drift(voice, report)
    if voice.on_terminal:
        _table(report)
    voice.say(final_line(report))


def drift(voice: Voice, report: Report) -> None:
    """The keys that no column reads, in one line."""
    unknown = report.drift.unknown
    if unknown:
        shortest = ", ".join(f"{path} ({jobs} jobs)" for path, jobs in list(unknown.items())[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        voice.say(f"note: the API sends keys that no column reads; they are kept in `extra`: {shortest}{more}")


def _table(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("table", "rows", "file")
    for name, count in report.rows.items():
        table.add_row(name, f"{count:,}", size(report.files.get(f"{name}.parquet", 0)))
    Console(stderr=True).print(table)


def failure(voice: Voice | None, error: FtetlError) -> None:
    """The one line that says why a run ended, and the same as JSON where that was asked for."""
    ended(voice, error.exit, str(error))


def ended(voice: Voice | None, end: Exit, message: str) -> None:
    """How a run ended, when it did not end well."""
    click.echo(shown(f"ftetl: {end.name} ({end.code}): {message}".replace("\n", " ")), err=True)
    if voice is not None:
        voice.result(
            {
                "exit_code": end.code,
                "exit": end.name,
                "committed": end.committed,
                "retryable": end.retryable,
                "changed": False,
                "message": message,
            }
        )
