"""`ftetl show`: prints the newest rows of a table."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

from ftetl.cli import options
from ftetl.cli.output import Output
from ftetl.clock import now, parse_iso

_AGO = re.compile(r"(\d{1,5})([dh])")


class _Since(click.ParamType[datetime]):
    """A date, a time, or how long ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time."""
        if ago := _AGO.fullmatch(value):
            return now() - timedelta(hours=int(ago[1]) * (24 if ago[2] == "d" else 1))
        try:
            return parse_iso(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write it like 2026-07-02, 2026-07-02T08:10:14Z, 7d or 24h.", param, ctx)


@click.command
@options.target
@click.argument("table", default="jobs", shell_complete=options.complete_tables)
@click.option("--status", metavar="WORD", help="Only of jobs with this status.")
@click.option("--model", metavar="TEXT", help="Only of jobs whose model has this in its name, in any case.")
@click.option("--since", type=_Since(), metavar="TIME", help="Only since this date or time (UTC), or 7d, 24h ago.")
@click.option("--columns", metavar="NAMES", help="These columns, with commas between; `all` for every one.")
@click.option("--limit", type=click.IntRange(min=1), default=20, metavar="N", help="At most so many rows.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, also on a terminal.")
@options.with_output
def show(
    output: Output, target: options.TargetName, table: str, columns: str | None, as_csv: bool, **filters: Any
) -> None:
    """Print the newest rows of a TABLE of TARGET: jobs, events, focus_costs, ... with the columns that matter most.

    On a terminal they are a table, elsewhere CSV.
    """
    from ftetl.cli.rows import print_rows
    from ftetl.contract import tables
    from ftetl.snapshot.newest_rows import Selection, newest_rows
    from ftetl.snapshot.snapshot import open as open_snapshot

    chosen = tuple(name.strip() for name in columns.split(",")) if columns else ()
    if chosen == ("all",) and table in tables():
        chosen = tables()[table].names
    rows, total = newest_rows(open_snapshot(target), table, Selection(columns=chosen, **filters))
    print_rows(output, rows, as_csv=as_csv, table=table, total=total)
    if total > rows.num_rows:
        output.info(f"note: {rows.num_rows:,} of {total:,} rows; --limit N shows more")
