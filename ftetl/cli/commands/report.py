"""`ftetl report`: writes the HTML page about snapshots."""

from __future__ import annotations

from pathlib import Path

import click

from ftetl.cli import options
from ftetl.cli.output import Output, last_line, print_unescaped
from ftetl.config.settings import PAGE
from ftetl.errors import EXITS, UsageError
from ftetl.formatting import format_bytes, pluralize

_STDOUT = Path("-")


@click.command
@options.targets
@click.option(
    "-o",
    "--output",
    "file",
    type=options.LocalPath(allow_dash=True),
    default=PAGE,
    metavar="FILE",
    help="The page, replaced as a whole; - for stdout.",
)
@options.file_mode("Mode of the file; it holds personal data. 0640 lets a group read.")
@options.with_output
def report(output: Output, targets: tuple[options.TargetName, ...], file: Path, file_mode: int) -> None:
    """Write one self-contained HTML page about the newest snapshot of TARGET, or of several together.

    It shows spend, tokens, durations, failures and all jobs, and needs no network to be read. It holds people's
    data, so the file is private unless --file-mode says otherwise. The same snapshot gives the same bytes.
    """
    if output.as_json and file == _STDOUT:
        raise UsageError("P01", "the page and --json cannot both go to stdout", next="name a file with --output")
    from ftetl import html_report
    from ftetl.snapshot import multi_project

    page = html_report.build_page(multi_project.open(*targets))
    if file == _STDOUT:
        print_unescaped(page.html.removesuffix("\n").encode())
        return
    html_report.write_text_atomically(file, page.html, file_mode)
    size = len(page.html.encode())
    output.json_result({"file": str(file), "bytes": size, **page.headline})
    jobs = pluralize(page.headline["jobs"], "job")
    last_line(output, EXITS["OK"], f"{file}: {jobs}, {format_bytes(size)}")
