"""`ftetl rebuild`: runs a rebuild and prints its outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ftetl.cli import exit_handling, options
from ftetl.cli.commands import export
from ftetl.cli.output import Output, success
from ftetl.formatting import pluralize


@click.command
@options.target
@options.pii_key
@options.storage
@options.with_output
def rebuild(output: Output, target: Path, **settings: Any) -> None:
    """Make all tables of TARGET again, offline, with the contracts of this version of ftetl.

    Every run that made a version is repeated from the raw responses in the archive. The outcome is a new version, or
    none if nothing differs. Saved responses are read once more; for pseudonyms in them the key is needed again.
    """
    from ftetl.pipeline.active_run import ActiveRun
    from ftetl.pipeline.export import rebuild_settings, run_rebuild

    chosen = rebuild_settings(target, settings)
    with output.progress() as progress:
        context = exit_handling.command_state().run = ActiveRun(chosen, progress)
        report = run_rebuild(context)
    exit_handling.ignore_signals()
    export.print_warnings(output, report)
    what = f"version {report.version} committed" if report.changed else "nothing changed"
    runs = pluralize(report.rebuilt, "run")
    success(output, report.exit, f"{report.target}: rebuilt {runs}: {what}{export.published_note(report)}")
    output.json_result(report.as_dict())
