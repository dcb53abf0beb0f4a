"""Tables as an Excel workbook, one sheet each: the header stays in view and has a filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from ftetl.errors import SoftwareError
from ftetl.loading import xlsx_cells
from ftetl.loading.xlsx_cells import Cell, Lost

LOADS: Final = "_ftetl_loads"  # the sheet that says what is in the others
_WIDTHS: Final = {"@": 26, xlsx_cells.TIME: 24}  # by number format, in characters
_ROWS: Final = 4096  # that are Python objects at once


@dataclass(frozen=True)
class Sheet:
    """One table: its name, the number of its rows, its schema, and its rows in parts."""

    name: str
    rows: int
    schema: pa.Schema
    parts: Iterable[pa.Table]


def write_workbook(file: Path, sheets: Iterable[Sheet], facts: Mapping[str, str], committed_at: datetime) -> list[str]:
    """Write the sheets to a new file, and tell what of them Excel cannot hold as it is.

    `facts` become properties of the document (Excel allows 255 characters each) and stand in the sheet `_ftetl_loads`;
    `committed_at` is the time at which the document says that it was made. The same tables give the same bytes.
    Temporary files lie beside the file.

    Raises:
        OSError: A file cannot be written.
    """
    import xlsxwriter

    book = xlsxwriter.Workbook(str(file), {"constant_memory": True, "tmpdir": str(file.parent)})
    book.use_zip64()
    book.set_properties({"created": committed_at.replace(tzinfo=None)})
    for name, fact in facts.items():
        book.set_custom_property(name, fact, "text")
    try:
        notes = _write_sheets(book, sheets, facts)
        book.close()
    except xlsxwriter.exceptions.FileCreateError as error:
        raise error.args[0] from None  # the error of the operating system that it wraps
    finally:
        for page in book.worksheets():
            page._opt_close()  # its temporary file, which only a success closes
    return notes


def _write_sheets(book: Any, sheets: Iterable[Sheet], facts: Mapping[str, str]) -> list[str]:
    from xlsxwriter.worksheet import Worksheet

    class Page(Worksheet):  # type: ignore[misc]
        """Plain texts: XlsxWriter takes any text between `<r>` and `</r>` for XML of its own and copies it."""

        def _xml_rich_inline_string(self, string: str, attributes: Any = ()) -> None:
            self._xml_inline_string(string, True, attributes)

    notes: list[str] = []
    lines: list[tuple[Cell, ...]] = [*facts.items(), (), ("table", "rows", "note")]
    for sheet in sheets:
        told = [
            f"{column}: {count:,} {what}"
            for column, what, count in _write_sheet(book, book.add_worksheet(sheet.name, Page), sheet)
        ]
        notes += [f"{sheet.name}.{line}" for line in told]
        lines.append((sheet.name, sheet.rows, "; ".join(told) or None))
    page = book.add_worksheet(LOADS, Page)
    page.set_column(0, 2, 26, book.add_format({"num_format": "@"}))
    for number, row in enumerate(lines):
        _write_row(page, number, row)
    return notes


def _write_sheet(book: Any, page: Any, sheet: Sheet) -> Iterator[tuple[str, str, int]]:
    """Write one page. Afterwards, by column: what happened to how many of its cells."""
    from xlsxwriter.utility import xl_range

    last = len(sheet.schema) - 1
    page.freeze_panes(1, 0)
    page.autofilter(0, 0, sheet.rows, last)
    page.ignore_errors({"number_stored_as_text": xl_range(0, 0, sheet.rows, last)})
    bold = book.add_format({"bold": True})
    for place, field in enumerate(sheet.schema):
        shown = xlsx_cells.number_format(field.type)
        page.set_column(place, place, _WIDTHS.get(shown, 16), book.add_format({"num_format": shown}))
        zone = " (UTC)" if pa.types.is_timestamp(field.type) else ""
        page.write_string(0, place, field.name + zone, bold)
    lost: list[Lost] = [Counter() for _ in sheet.schema]
    number = 1
    for part in sheet.parts:
        for start in range(0, part.num_rows, _ROWS):
            some = part.slice(start, _ROWS)
            columns = [xlsx_cells.cells(column, counts) for column, counts in zip(some.columns, lost, strict=True)]
            for row in zip(*columns, strict=True):
                _write_row(page, number, row)
                number += 1
    if number != sheet.rows + 1:
        raise SoftwareError("V13", f"{sheet.name} has {number - 1} rows instead of {sheet.rows}")
    for field, counts in zip(sheet.schema, lost, strict=True):
        yield from ((field.name, what, count) for what, count in counts.items())


def _write_row(page: Any, row: int, cells: Iterable[Cell]) -> None:
    for place, cell in enumerate(cells):
        if cell is None:
            continue
        if isinstance(cell, str):
            failed = page.write_string(row, place, cell)
        elif isinstance(cell, bool):
            failed = page.write_boolean(row, place, cell)
        else:
            failed = page.write_number(row, place, cell)
        if failed:
            raise SoftwareError("V13", f"XlsxWriter refused row {row}, column {place} of a sheet ({failed})")
