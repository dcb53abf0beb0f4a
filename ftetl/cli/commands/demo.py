"""`ftetl demo`: runs an export against a built-in demo API, and prints two things to try next."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ftetl.cli import options
from ftetl.cli.commands import export
from ftetl.cli.output import Output
from ftetl.config.settings import DEMO_TARGET
from ftetl.load import formats

_DUCKDB_QUERY = (
    "SELECT model, count(*) AS jobs, sum(total_price_usd) AS usd FROM '{folder}/jobs.parquet' "
    "GROUP BY model ORDER BY usd DESC LIMIT 5"
)
_PANDAS_CODE = "import ftetl; print(ftetl.open({target!r}).jobs.groupby('status').total_price_usd.sum())"


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
    output.hint(f"  duckdb -c {_quoted(duckdb_query(target))}")
    output.hint(f"  python -c {_quoted(pandas_code(target))}")


def duckdb_query(target: Path) -> str:
    """A first query, for DuckDB."""
    return _DUCKDB_QUERY.format(folder=(target / "current").as_posix().replace("'", "''"))


def pandas_code(target: Path) -> str:
    """A first look, for pandas."""
    return _PANDAS_CODE.format(target=target.as_posix())


def _quoted(text: str) -> str:
    """The text as one word of a shell; double quotes read better around the single ones of SQL and Python."""
    return f'"{text}"' if not set(text) & set('"$`\\!') else shlex.quote(text)
