"""The command that makes the page: opens, writes, says what was written. Knows neither figures nor HTML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ftetl.cli import output as cli_output
from ftetl.cli.output import Voice
from ftetl.errors import EXITS, UsageError
from ftetl.formatting import format_bytes, pluralize

_STDOUT = "-"


def make(voice: Voice, targets: Sequence[Path], output: Path, mode: int) -> None:
    """Write the page of these targets, and say so.

    Raises:
        UsageError: Two results would go to stdout, or two targets hold the same project.
        TargetError: There is no snapshot, or the file cannot be written.
        StorageError: A table cannot be read, or the disk fails.
    """
    if voice.as_json and str(output) == _STDOUT:
        raise UsageError("P01", "the page and --json cannot both go to stdout", next="name a file with --output")
    from ftetl import html_report
    from ftetl.snapshot import multi_project

    made = html_report.made(multi_project.open(*targets))
    if str(output) == _STDOUT:
        cli_output.ours(made.html.removesuffix("\n").encode())
        return
    html_report.write_text_atomically(output, made.html, mode)
    voice.result({"file": str(output), "bytes": len(made.html.encode()), **made.headline.document()})
    jobs, size = pluralize(made.headline.jobs, "job"), format_bytes(len(made.html.encode()))
    cli_output.well(voice, EXITS["OK"], f"{output}: {jobs}, {size}")
