"""`ftetl runs`: prints the run log, as a table on a terminal, a line a run elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ftetl.cli import options
from ftetl.cli.output import Output
from ftetl.formatting import escape_unprintable, format_bytes, pluralize

if TYPE_CHECKING:
    from ftetl.run_report import Report


@click.command
@options.target
@options.with_output
def runs(output: Output, target: options.TargetName) -> None:
    """Show what each run of TARGET did: the newest last; --json gives all that is known of them."""
    from ftetl.pipeline import run_log

    damaged: list[str] = []
    reports = run_log.read_records(target, damaged)
    output.json_result({"runs": [report.as_dict() for report in reports], "damaged": damaged})
    if not reports:
        output.info(f"{target} has no runs yet")
    elif not output.as_json and sys.stdout is not None and sys.stdout.isatty():
        _print_table(reports)
    else:
        for report in reports:
            output.result("  ".join(_fields(report)))
    for note in damaged:
        output.info(f"note: {note}; skipped")


def _fields(run: Report) -> list[str]:
    fields = [_time(run), f"{run.seconds:.1f} s", pluralize(run.requests, "request"), format_bytes(run.bytes_read)]
    if run.rows:
        fields += [
            f"{run.new:,} new, {run.changed_jobs:,} changed, {run.vanished:,} gone",
            pluralize(run.rows.get("events", 0), "event"),
            f"{run.quarantined:,} quarantined",
            pluralize(sum(run.anomalies.values()), "anomaly"),
            pluralize(len(run.drift.unknown), "unknown key"),
        ]
    fields += [_version(run), _result(run)]
    return [*fields, run.message] if run.message else fields


def _result(run: Report) -> str:
    return f"{run.exit.name} ({run.exit_code})" + (f" {run.code}" if run.code else "")


def _time(run: Report) -> str:
    return f"{run.started_at[:19]}Z"


def _version(run: Report) -> str:
    if not run.exit.committed and not run.changed:
        return "nothing committed"
    return f"version {run.version}" if run.changed else "unchanged"


def _print_table(runs: Sequence[Report]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Two facts below each other, so that eighty columns are enough.
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("when\nresult", no_wrap=True)
    for heading in (
        "seconds\nversion",
        "requests\nbytes",
        "new\nchanged",
        "gone\nevents",
        "quarantined\nanomalies",
        "unknown\nkeys",
    ):
        grid.add_column(heading, justify="right")
    for run in runs:
        counts = ("", "", "", "")
        if run.rows:
            counts = (
                f"{run.new:,}\n{run.changed_jobs:,}",
                f"{run.vanished:,}\n{run.rows.get('events', 0):,}",
                f"{run.quarantined:,}\n{sum(run.anomalies.values()):,}",
                f"{len(run.drift.unknown):,}",
            )
        grid.add_row(
            Text(_time(run)).append(
                f"\n{run.exit.name} ({run.exit_code})", "dim" if run.exit.committed else "bold red"
            ),
            f"{run.seconds:.1f}\n{run.version if run.changed else 'unchanged' if run.exit.committed else 'none'}",
            f"{run.requests:,}\n{format_bytes(run.bytes_read)}",
            *counts,
        )
    console = Console(highlight=False)
    console.print(grid)
    if runs[-1].message:
        console.print(Text(escape_unprintable(f"The last run: {_result(runs[-1])}: {runs[-1].message}")))
