"""What the command line says while it works and when it is done.

Talk goes to stderr, results to stdout. On a terminal: a progress bar and a short table; elsewhere one final line.
rich is imported on a terminal only. Text that came from outside is escaped before it is shown, and whoever stops
reading our output changes nothing of what a run does or how it ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftetl.cli.log_format import FORMATS, JsonLines, Lines
from ftetl.cli.log_format import as_json as json_line
from ftetl.errors import Exit, FtetlError, StorageError
from ftetl.formatting import escape_unprintable, format_bytes, pluralize
from ftetl.run_report import Report

if TYPE_CHECKING:
    from ftetl.pipeline.doctor import Finding
    from ftetl.validate.verify import VerifyResult

_KEYS_SHOWN = 5  # of those that no column reads


class Voice:
    """How loud a command is, and in which form its result comes."""

    def __init__(
        self,
        *,
        quiet: bool = False,
        verbose: int = 0,
        as_json: bool = False,
        log_format: str = FORMATS[0],
    ) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.as_json = as_json
        self.logs_json = log_format == "json"
        self.on_terminal = sys.stderr is not None and sys.stderr.isatty() and not quiet and not self.logs_json
        level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
        logger = logging.getLogger("ftetl")
        logger.handlers = [logging.StreamHandler(sys.stderr)]
        form = JsonLines() if self.logs_json else Lines("%(asctime)s %(levelname)-5s %(name)s %(message)s")
        logger.handlers[0].setFormatter(form)
        logger.setLevel(level)
        logger.propagate = False

    def result(self, document: dict[str, Any]) -> None:
        """The result as one JSON document, where it was asked for."""
        if self.as_json:
            # ASCII only: it can be written in every locale, and no text in it moves a terminal.
            _write(json.dumps(document))

    def say(self, text: str = "") -> None:
        """A line for people, unless they asked for quiet."""
        if self.quiet:
            return
        if self.logs_json:
            level = "WARNING" if text.startswith("warning: ") else "INFO"
            message = text.removeprefix("warning: ").removeprefix("note: ")
            _write(json_line(level, "ftetl", "note", message, {}), err=True)
        else:
            _write(escape_unprintable(text), err=True)

    def out(self, text: str = "") -> None:
        """A line of the result, for people."""
        if not self.as_json:
            _write(escape_unprintable(text))

    def offer(self, text: str = "") -> None:
        """A line that nobody asked for, on stdout: what to do with the result."""
        if not self.quiet:
            self.out(text)

    @contextmanager
    def progress(self) -> Iterator[_Bar | None]:
        """A progress bar on a terminal; nothing elsewhere, and not between the lines of `-v`."""
        if not self.on_terminal or self.verbose:
            yield None
            return
        bar = _Bar()
        with bar.display:
            yield bar


def ours(text: str | bytes) -> None:
    """A text of several lines that cannot move a terminal, on stdout; bytes in every locale as they are."""
    _write(text)


def _write(text: str | bytes, *, err: bool = False) -> None:
    stream = sys.stderr if err else sys.stdout
    try:
        click.echo(text, err=err)
    except OSError as error:
        # The interpreter would stumble over what is left to write when it ends, so it goes nowhere.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        # Whoever read it may be gone; and where stderr cannot be written, the exit code is all that is left to say.
        if not err and not isinstance(error, BrokenPipeError):
            raise StorageError("P11", "the output cannot be written", next="see where stdout leads to") from None


class _Bar:
    """Bytes, details and jobs on their way; told from any thread."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.display = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._lock = threading.Lock()

    def received(self, total: int) -> None:
        """So many bytes have come in all."""
        self._show("receiving", None, None, format_bytes(total))

    def details(self, done: int, total: int) -> None:
        """So many details have come."""
        self._show("details", done, total, f"{done:,} of {total:,}")

    def jobs(self, done: int, total: int) -> None:
        """So many jobs are in the tables."""
        self._show("jobs", done, total, f"{done:,} of {total:,}")

    def _show(self, name: str, done: int | None, total: int | None, note: str) -> None:
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self.display.add_task(name, total=total, note=note)
        self.display.update(self._tasks[name], completed=done, total=total, note=note)


def outcome(report: Report) -> str:
    """What a run did."""
    what = f"nothing changed, version {report.version} stands"
    if report.changed:
        what = f"version {report.version} committed ({report.new:,} new, {report.changed_jobs:,} changed, "
        what += f"{report.vanished:,} gone)"
    holds = (
        pluralize(report.rows["jobs"], "job"),
        pluralize(report.rows["events"], "event"),
        pluralize(sum(report.anomalies.values()), "anomaly"),
    )
    tail = ""
    if report.quarantined:
        tail += f"; {report.quarantined:,} newly in quarantine, see `ftetl quarantine`"
    if failed := report.details.get("failed"):
        tail += f"; {pluralize(failed, 'detail')} not to be had, the next run asks again"
    return f"{report.target}: {what}: {', '.join(holds)}{tail}{_published(report)}"


def _published(report: Report) -> str:
    there = report.published
    return f"; published to {there.folder}" if there and there.version else ""


def summary(voice: Voice, report: Report) -> None:
    """What a run did, for people: a table on a terminal, then one line."""
    for warning in report.warnings:
        voice.say(f"warning: {warning}")
    drift(voice, report)
    if voice.on_terminal:
        _table(report)
    well(voice, report.exit, outcome(report))


def rebuilt(voice: Voice, report: Report) -> None:
    """What a rebuild came to, for people, in one line."""
    for warning in report.warnings:
        voice.say(f"warning: {warning}")
    what = f"version {report.version} committed" if report.changed else "nothing changed"
    well(voice, report.exit, f"{report.target}: rebuilt {pluralize(report.rebuilt, 'run')}: {what}{_published(report)}")


def drift(voice: Voice, report: Report) -> None:
    """The keys that no column reads, in one line."""
    unknown = report.drift.unknown
    if unknown:
        first = ", ".join(f"{path} ({pluralize(jobs, 'job')})" for path, jobs in list(unknown.items())[:_KEYS_SHOWN])
        more = f" and {len(unknown) - _KEYS_SHOWN} more" if len(unknown) > _KEYS_SHOWN else ""
        voice.say(f"note: the API sends keys that no column reads; they are kept in `extra`: {first}{more}")


def _table(report: Report) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table("table", box=SIMPLE_HEAD)
    for heading in ("rows", "Parquet"):
        table.add_column(heading, justify="right")
    for name, count in report.rows.items():
        table.add_row(name, f"{count:,}", format_bytes(report.files.get(f"{name}.parquet", 0)))
    Console(stderr=True).print(table)


def verdict(voice: Voice, end: Exit, target: Path, found: VerifyResult) -> None:
    """What a verification found: damage as the result, a line each, then one line for people."""
    for line in found.damage:
        voice.out(f"damaged: {line}")
    for line in found.notes:
        voice.say(f"note: {line}")
    if found.sound:
        counts = f"{pluralize(found.files, 'file')}, {pluralize(sum(found.rows.values()), 'row')}"
        well(voice, end, f"{target}: version {found.version} is sound: {counts}")
    else:
        advice = "restore what is named, or export again into an empty folder"
        _end(voice, end, f"{target}: {pluralize(len(found.damage), 'damage')} found; {advice}", found.code)


def findings(voice: Voice, end: Exit, target: Path, found: Sequence[Finding]) -> None:
    """What the doctor found, a line each, then one line for people."""
    for finding in found:
        advice = f"; {finding.next}" if finding.next else ""
        voice.out(f"{finding.state:<8} {finding.name}: {finding.what}{advice}")
    failing, odd = (sum(f.state == state for f in found) for state in ("failure", "warning"))
    if failing:
        what = f"{target}: an export would fail: {pluralize(failing, 'failure')}, {pluralize(odd, 'warning')}"
        _end(voice, end, what, next(f.code for f in found if f.exit))
    else:
        well(voice, end, f"{target}: an export can run: {pluralize(len(found), 'check')}, {pluralize(odd, 'warning')}")


def failure(voice: Voice | None, error: FtetlError) -> None:
    """The one line that says why a run ended, and the same as JSON where that was asked for."""
    ended(voice, error.exit, error.code, str(error))


def ended(voice: Voice | None, end: Exit, code: str | None, message: str, *, version: int | None = None) -> None:
    """How a run ended, if not with a report; without a code it had committed `version` all the same."""
    if voice is not None:
        with contextlib.suppress(StorageError):  # it may be this very error
            voice.result(
                {
                    "exit_code": end.code,
                    "exit": end.name,
                    "code": code,
                    "committed": end.committed,
                    "retryable": end.retryable,
                    "changed": version is not None,
                    "version": version,
                    "message": message,
                }
            )
    _end(voice, end, message, code)


def well(voice: Voice, end: Exit, message: str) -> None:
    """The last line of a command that did what it should."""
    if not voice.quiet:
        _end(voice, end, message)


def _end(voice: Voice | None, end: Exit, message: str, code: str | None = None) -> None:
    """The last line on stderr."""
    if voice is not None and voice.logs_json:
        told: dict[str, Any] = {
            "exit": end.name,
            "exit_code": end.code,
            "code": code,
            "committed": end.committed,
            "retryable": end.retryable,
        }
        level = "INFO" if end.committed else "ERROR"
        _write(json_line(level, "ftetl", "run_done", message, told), err=True)
    else:
        label = f" {code}" if code else ""
        _write(escape_unprintable(f"ftetl: {end.name} ({end.code}){label}: {message}"), err=True)
