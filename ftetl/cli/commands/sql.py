"""`ftetl sql`: prints the rows of an SQL query over the tables."""

from __future__ import annotations

import click

from ftetl.cli import options
from ftetl.cli.output import Output


@click.command
@options.target
@click.argument("query")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, also on a terminal.")
@options.with_output
def sql(output: Output, target: options.TargetName, query: str, as_csv: bool) -> None:
    """Print the rows of an SQL QUERY over the tables of TARGET, such as "SELECT status, count(*) FROM jobs GROUP BY 1".

    DuckDB runs it (`pip install duckdb`), without access to files or the network; times are in UTC. On a terminal
    the rows are a table, elsewhere CSV.
    """
    from ftetl.cli.rows import print_rows
    from ftetl.snapshot import sql as snapshot_sql
    from ftetl.snapshot.snapshot import open as open_snapshot

    print_rows(output, snapshot_sql.query(open_snapshot(target), query), as_csv=as_csv)
