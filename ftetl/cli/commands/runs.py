"""The runs of a target, for people: a table on a terminal, a line each elsewhere. Knows how to print only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ftetl.cli.output import Voice
from ftetl.formatting import escape_unprintable, format_bytes, pluralize
from ftetl.run_report import Report


def show(voice: Voice, target: Path, runs: Sequence[Report], damaged: Sequence[str]) -> None:
    """The runs, the newest last, then a note for each record that cannot be read."""
    if not runs:
        voice.say(f"{target} has no runs yet")
    elif not voice.as_json and sys.stdout is not None and sys.stdout.isatty():
        _rich(runs)
    else:
        for run in runs:
            voice.out("  ".join(_line(run)))
    for note in damaged:
        voice.say(f"note: {note}; it was passed over")


def _line(run: Report) -> list[str]:
    told = [_when(run), f"{run.seconds:.1f} s", pluralize(run.requests, "request"), format_bytes(run.bytes_read)]
    if run.rows:
        told += [
            f"{run.new:,} new, {run.changed_jobs:,} changed, {run.vanished:,} gone",
            pluralize(run.rows.get("events", 0), "event"),
            f"{run.quarantined:,} quarantined",
            pluralize(sum(run.anomalies.values()), "anomaly"),
            pluralize(len(run.drift.unknown), "unknown key"),
        ]
    told += [_version(run), _end(run)]
    return [*told, run.message] if run.message else told


def _end(run: Report) -> str:
    return f"{run.exit.name} ({run.exit_code})" + (f" {run.code}" if run.code else "")


def _when(run: Report) -> str:
    return f"{run.started_at[:19]}Z"


def _version(run: Report) -> str:
    if not run.exit.committed and not run.changed:
        return "nothing committed"
    return f"version {run.version}" if run.changed else "unchanged"


def _rich(runs: Sequence[Report]) -> None:
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
        "aside\nodd",
        "unknown\nkeys",
    ):
        grid.add_column(heading, justify="right")
    for run in runs:
        end = f"{run.exit.name} ({run.exit_code})"
        found = ("", "", "", "")
        if run.rows:
            found = (
                f"{run.new:,}\n{run.changed_jobs:,}",
                f"{run.vanished:,}\n{run.rows.get('events', 0):,}",
                f"{run.quarantined:,}\n{sum(run.anomalies.values()):,}",
                f"{len(run.drift.unknown):,}",
            )
        grid.add_row(
            Text(_when(run)).append(f"\n{end}", "dim" if run.exit.committed else "bold red"),
            f"{run.seconds:.1f}\n{run.version if run.changed else 'unchanged' if run.exit.committed else 'none'}",
            f"{run.requests:,}\n{format_bytes(run.bytes_read)}",
            *found,
        )
    console = Console(highlight=False)
    console.print(grid)
    if runs[-1].message:
        console.print(
            Text(f"The last run: {escape_unprintable(_end(runs[-1]))}: {escape_unprintable(runs[-1].message)}")
        )
