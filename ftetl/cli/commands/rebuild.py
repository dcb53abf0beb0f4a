"""`ftetl rebuild`: runs a rebuild and prints its outcome."""

from __future__ import annotations

from typing import Any

import click

from ftetl.cli import options
from ftetl.cli.commands import export
from ftetl.cli.output import Output, last_line
from ftetl.formatting import pluralize


@click.command
@options.target
@options.allow_drift
@options.pii_key
@options.storage
@options.with_output
def rebuild(output: Output, target: options.TargetName, **settings: Any) -> None:
    """Make all tables of TARGET again, offline, with the contracts of this version of ftetl.

    Every run that made a version is repeated from the raw responses in the archive. The outcome is a new version, or
    none if nothing differs. Saved responses are read once more; for pseudonyms in them the key is needed again.
    """
    from ftetl.pipeline.export import rebuild_settings, run_rebuild

    report = export.run_with_progress(output, rebuild_settings(target, settings), run_rebuild)
    for warning in report.warnings:
        output.info(f"warning: {warning}")
    what = f"version {report.version} committed" if report.changed else "nothing changed"
    runs = pluralize(report.rebuilt, "run")
    last_line(output, report.exit, f"{report.target}: rebuilt {runs}: {what}{export.delivered_note(report)}")
    output.json_result(report.as_dict())
