"""The data dictionary on a terminal. Knows how to print, not what the tables are."""

from __future__ import annotations

import sys

from ftetl import dictionary
from ftetl.contract import Table, tables
from ftetl.talk import Voice


def show(voice: Voice, names: list[str]) -> None:
    """The dictionary of these tables: as tables on a terminal, as Markdown elsewhere."""
    if voice.as_json:
        return
    for name in names:
        if sys.stdout.isatty():
            _rich(tables()[name])
        else:
            voice.out(dictionary.section(tables()[name]))


def _rich(table: Table) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    grid = Grid("column", "type", "meaning", "from", title=table.name, caption=table.description, show_lines=False)
    for column in table.columns:
        cells = (column.name, dictionary.kind(column), dictionary.meaning(column), dictionary.origin(column))
        grid.add_row(*(escape(cell.replace("`", "")) for cell in cells))
    Console().print(grid)
