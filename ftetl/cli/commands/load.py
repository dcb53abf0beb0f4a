"""`ftetl load`: loads the newest snapshot into a destination and prints what changed there."""

from __future__ import annotations

import click

from ftetl.cli import exit_handling, options
from ftetl.cli.output import Output, last_line
from ftetl.errors import EXITS
from ftetl.formatting import pluralize
from ftetl.loading.destinations import SCHEMA


@click.command
@options.target
@click.argument("destination")
@click.option(
    "--schema", default=SCHEMA, metavar="NAME", help="The schema of the tables, in destinations that have schemas."
)
@click.option("--dry-run", is_flag=True, help="Print what would change, by table, and change nothing.")
@click.option(
    "--replace",
    is_flag=True,
    help="Load also if the destination has a newer version, or another target's jobs under the same project label.",
)
@options.with_output
def load(
    output: Output, target: options.TargetName, destination: str, *, schema: str, dry_run: bool, replace: bool
) -> None:
    """Load the newest snapshot of TARGET into a database: all tables in one transaction, offline.

    DESTINATION is an address such as `duckdb:FILE` or `postgresql://USER@HOST/DATABASE`. Its rows of TARGET's project
    become those of the snapshot; rows of other projects stay. The same snapshot again changes nothing.
    """
    from ftetl.loading.load_snapshot import load as load_snapshot

    if not dry_run:  # the signal may come after the commit, and a lakehouse has one for each table
        what = "whether the tables were loaded is unknown: load again, which completes it or changes nothing"
        exit_handling.command_state().if_stopped = what
    result = load_snapshot(target, destination, schema=schema, dry_run=dry_run, replace=replace)
    exit_handling.ignore_signals()
    for name, counts in result.tables.items():
        if counts.changed and (dry_run or not output.quiet):
            parts = ((counts.inserted, "inserted"), (counts.updated, "updated"), (counts.deleted, "deleted"))
            changes = ", ".join(f"{number:,} {word}" for number, word in parts if number)
            output.result(f"{name}: {changes}, {counts.unchanged:,} unchanged")
    for note in result.notes:
        output.info(f"note: {note}")
    ok = EXITS["OK"]
    output.json_result({**result.as_dict(), "exit_code": ok.code, "exit": ok.name, "code": None})
    which = f"version {result.version} of project {result.project}"
    rows = pluralize(result.changed_rows, "row")
    done = f"{which} would be loaded ({rows} to change)" if dry_run else f"{which} loaded ({rows} changed)"
    what = done if result.changed else f"nothing changed, {which} is loaded already"
    last_line(output, ok, f"{result.destination}: {what}")
