"""`ftetl schema`: prints the data dictionary, or the SQL that creates the tables."""

from __future__ import annotations

import sys

import click

from ftetl.cli import options
from ftetl.cli.output import Output, print_unescaped
from ftetl.contract import DATABASES, Column, Table, markdown, tables
from ftetl.errors import UsageError
from ftetl.formatting import did_you_mean


@click.command
@click.argument("table", required=False, shell_complete=options.complete_tables)
@click.option(
    "--sql",
    type=click.Choice(DATABASES),
    help="Print the statements that make the tables in this database, with what each column means.",
)
@options.with_output
def schema(output: Output, table: str | None, sql: str | None) -> None:
    """Print the data dictionary: what each column means, its type, unit and source.

    Of one TABLE, or of all. With --sql, print the statements that make the tables in a database.
    """
    names = list(tables())
    if table is not None and table not in names:
        advice = did_you_mean(table, names, f"choose one of: {', '.join(names)}")
        raise UsageError("P04", f"there is no table {table!r}", next=advice)
    names = [table] if table else names
    if sql:
        _print_sql(output, names, sql)
        return
    output.json_result(markdown.document(names))
    if output.as_json:
        return
    for name in names:
        if sys.stdout is not None and sys.stdout.isatty():
            _print_table(tables()[name])
        else:
            print_unescaped(markdown.section(tables()[name]))


def _print_sql(output: Output, names: list[str], database: str) -> None:
    from ftetl.contract import sql as contract_sql  # here, since it imports pyarrow

    script = contract_sql.script(names, database)
    output.json_result({"database": database, "sql": script})
    if not output.as_json:
        print_unescaped(script)


def _print_table(table: Table) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    # The type below the name, so that eighty columns leave room for the meaning.
    grid = Grid("column", "meaning", box=SIMPLE_HEAD, pad_edge=False)
    grid.columns[0].no_wrap = True
    for column in table.columns:
        name = Text(column.name, "bold").append(f"\n  {markdown.kind(column)}", "not bold dim")
        meaning = Text(_plain(markdown.meaning(column)))
        if not _has_obvious_origin(column):
            meaning.append(f"\nfrom {_plain(markdown.origin(column))}", "dim")
        grid.add_row(name, meaning)
    console = Console(highlight=False)
    console.print(Text(table.name, "bold"))
    sorting = f" Sorted by {', '.join(table.order)}." if table.order else ""
    console.print(Text(f"{_plain(table.description)} Key: {', '.join(table.key)}.{sorting}"))
    console.print(grid)


def _has_obvious_origin(column: Column) -> bool:
    """Whether the value comes from the key of the same name, or from ftetl itself."""
    is_own = [str(source) for source in column.sources] == [column.name] and column.read == "value"
    return (is_own and not column.detail) or column.read in ("computed", "extra")


def _plain(text: str) -> str:
    return text.replace("`", "")
