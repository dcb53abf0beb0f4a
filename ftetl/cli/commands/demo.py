"""The end of `ftetl demo`: what was written, and two things to try next.

The two lines are kept as text here so that a test can run exactly what a newcomer would.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from ftetl.cli.output import Voice
from ftetl.config.settings import FORMATS

DUCKDB = (
    "SELECT model, count(*) AS jobs, sum(total_price_usd) AS usd FROM '{folder}/jobs.parquet' "
    "GROUP BY model ORDER BY usd DESC LIMIT 5"
)
PANDAS = "import ftetl; print(ftetl.open({target!r}).jobs.groupby('status').total_price_usd.sum())"


def duckdb_query(target: Path) -> str:
    """A first query, for DuckDB."""
    return DUCKDB.format(folder=(target / "current").as_posix().replace("'", "''"))


def pandas_line(target: Path) -> str:
    """A first look, for pandas."""
    return PANDAS.format(target=target.as_posix())


def next_steps(voice: Voice, target: Path, files: Iterable[str]) -> None:
    """Say where the tables are and what to do with them."""
    shown = sorted(f for f in files if f.rpartition(".")[2] in FORMATS)  # the others are no tables
    voice.offer(f"Written to {target / 'current'}: {', '.join(shown)}")
    voice.offer()
    voice.offer("Try next:")
    voice.offer(f"  duckdb -c {_quoted(duckdb_query(target))}")
    voice.offer(f"  python -c {_quoted(pandas_line(target))}")


def _quoted(text: str) -> str:
    """The text as one word of a shell; double quotes read better around the single ones of SQL and Python."""
    return f'"{text}"' if not set(text) & set('"$`\\!') else shlex.quote(text)
