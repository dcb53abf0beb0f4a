"""`ftetl demo`: runs an export against a built-in demo API, and prints two things to try next."""

from __future__ import annotations

import shlex
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ftetl.cli import options
from ftetl.cli.commands import export
from ftetl.cli.output import Output
from ftetl.config.settings import DEMO_TARGET
from ftetl.loading import formats

# What works with what `pip install` brings.
_PYTHON_CODE = "import ftetl; print(ftetl.analysis.shown(ftetl.analysis.spend(ftetl.open({target!r}), by='month')))"
_PLAIN = {*string.ascii_letters, *string.digits, *"/._-"}


@click.command
@click.argument("target", type=options.LocalPath(), default=DEMO_TARGET)
@options.tables
@options.with_output
def demo(output: Output, target: Path, **settings: Any) -> int:
    """Run an export against a built-in demo API: no key, no network.

    The tables of its invented jobs are written into the folder TARGET (default: ftetl-demo).
    """
    report = export.run(output, target, "demo", settings)
    print_next_steps(output, target, report.files)
    return report.exit_code


def print_next_steps(output: Output, target: Path, files: Iterable[str]) -> None:
    """Print where the tables are and what to do with them."""
    table_files = sorted(f for f in files if formats.is_table_file(f))
    output.hint(f"Written to {target / 'current'}: {', '.join(table_files)}")
    output.hint()
    output.hint("Try next:")
    output.hint(f"  ftetl show {_quoted(target.as_posix())} --status error")
    output.hint(f"  python -c {_quoted(python_code(target))}")


def python_code(target: Path) -> str:
    """A first look at the spend, by month."""
    return _PYTHON_CODE.format(target=target.as_posix())


def _quoted(text: str) -> str:
    """The text as one word of a shell; double quotes read better around the single ones of SQL and Python."""
    if text and not set(text) - _PLAIN:
        return text
    return f'"{text}"' if not set(text) & set('"$`\\!') else shlex.quote(text)
