"""The data dictionary on a terminal, or as SQL. Knows how to print, not what the tables are."""

from __future__ import annotations

import sys

from ftetl.cli import output
from ftetl.cli.output import Voice
from ftetl.contract import Column, Table, markdown, tables


def show(voice: Voice, names: list[str], sql: str | None = None) -> None:
    """The dictionary of these tables: as tables on a terminal, as Markdown elsewhere; or as SQL for a database."""
    if sql:
        _sql(voice, names, sql)
        return
    voice.result(markdown.document(names))
    if voice.as_json:
        return
    for name in names:
        if sys.stdout is not None and sys.stdout.isatty():
            _rich(tables()[name])
        else:
            output.ours(markdown.section(tables()[name]))


def _sql(voice: Voice, names: list[str], database: str) -> None:
    from ftetl.contract import sql as contract_sql  # here, since it imports pyarrow

    script = contract_sql.script(names, database)
    voice.result({"database": database, "sql": script})
    if not voice.as_json:
        output.ours(script)


def _rich(table: Table) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    # The type below the name, so that eighty columns leave room for the meaning.
    grid = Grid("column", "meaning", box=SIMPLE_HEAD, pad_edge=False)
    grid.columns[0].no_wrap = True
    for column in table.columns:
        named = Text(column.name, "bold").append(f"\n  {markdown.kind(column)}", "not bold dim")
        told = Text(_plain(markdown.meaning(column)))
        if not _is_plain(column):
            told.append(f"\nfrom {_plain(markdown.origin(column))}", "dim")
        grid.add_row(named, told)
    console = Console(highlight=False)
    console.print(Text(table.name, "bold"))
    sorting = f" Sorted by {', '.join(table.order)}." if table.order else ""
    console.print(Text(f"{_plain(table.description)} Key: {', '.join(table.key)}.{sorting}"))
    console.print(grid)


def _is_plain(column: Column) -> bool:
    """Whether the origin goes without saying: the key of the same name, or ftetl itself."""
    is_own = [str(source) for source in column.sources] == [column.name] and column.read == "value"
    return (is_own and not column.detail) or column.read in ("computed", "extra")


def _plain(text: str) -> str:
    return text.replace("`", "")
