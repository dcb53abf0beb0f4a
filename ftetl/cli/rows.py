"""Prints rows: as a table on a terminal, as CSV elsewhere, as one JSON document with `--json`."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from ftetl.cli.output import Output, print_unescaped
from ftetl.formatting import MISSING, escape_unprintable, exact_number

if TYPE_CHECKING:
    import pyarrow as pa

# Widths in characters.
_SHORT: Final = 20  # up to which a text is not broken over lines, such as times and ids
_NARROW: Final = 14  # of a column whose texts are, at least
_GAP: Final = 3  # between columns


def print_rows(output: Output, rows: pa.Table, *, as_csv: bool = False, **facts: Any) -> None:
    """Print rows; the JSON document has `columns`, `rows` (lists in their order) and the facts.

    In JSON decimals are text, so that money stays exact; times are ISO 8601.
    """
    names, columns = rows.column_names, [column.to_pylist() for column in rows.columns]
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    if on_terminal and not as_csv and not output.as_json:
        _print_table(names, columns)
        return
    lines = [[_json_value(value) for value in line] for line in zip(*columns, strict=True)]
    output.json_result({**facts, "columns": names, "rows": lines})
    if output.as_json:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    escape = escape_unprintable if on_terminal else str
    writer.writerows([escape("" if cell is None else _text(cell)) for cell in line] for line in [names, *lines])
    print_unescaped(text.getvalue().removesuffix("\n").encode())


def _json_value(value: Any) -> Any:
    match value:
        case Decimal():
            return exact_number(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_json_value(item) for item in value]
        case dict():
            return {str(key): _json_value(item) for key, item in value.items()}
        case None | bool() | int() | float() | str():
            return value
    return str(value)  # a time of day, an interval


def _text(value: Any) -> str:
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _print_table(names: list[str], columns: list[list[Any]]) -> None:
    """Print rows as a table, or, where the terminal is too narrow for that, one below the other."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    texts = [[_shown(value) for value in column] for column in columns]
    titles = [escape_unprintable(name) for name in names]
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    needed = 0
    for title, column, cells in zip(titles, columns, texts, strict=True):
        width = max(map(len, cells), default=0)
        lines = title.replace("_", "_\n") if len(title) > width else title
        width = max(width, *map(len, lines.split("\n")))
        needed += _GAP + (width if width <= _SHORT else _NARROW)
        is_number = any(isinstance(value, int | float | Decimal) for value in column)
        justify: Literal["left", "right"] = "right" if is_number else "left"
        grid.add_column(Text(lines), justify=justify, overflow="fold", no_wrap=width <= _SHORT)
    rows = [*zip(*texts, strict=True)]
    if needed <= console.width:
        for row in rows:
            grid.add_row(*map(Text, row))
        console.print(grid)
        return
    label = max(map(len, titles))
    for row in rows:
        for title, cell in zip(titles, row, strict=True):
            console.print(Text(f"{title:<{label}}  {cell}"))
        console.print()


def _shown(value: Any) -> str:
    """A value in a table for people; a time is shown to the minute."""
    if value is None:
        return MISSING
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M").rjust(16, "0")
    return escape_unprintable(_text(_json_value(value)))
