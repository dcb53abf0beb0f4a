"""Reads a workbook with openpyxl, back to the values of the tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from openpyxl.utils.escape import unescape


def value(cell: Any, kind: pa.DataType) -> object:
    """What a cell means in a column of this type."""
    found = cell.value
    if found is None:
        return None
    if pa.types.is_string(kind):
        assert cell.data_type == "s"
        return unescape(found)  # openpyxl leaves the escapes of control characters
    if pa.types.is_timestamp(kind):
        if isinstance(found, str):
            return datetime.fromisoformat(found)
        days, part = divmod(found, 1)
        return datetime(1899, 12, 30, tzinfo=UTC) + timedelta(days, microseconds=round(part * 86_400_000_000))
    if pa.types.is_decimal(kind):
        return Decimal(repr(found) if isinstance(found, float) else str(found))
    return int(found) if pa.types.is_integer(kind) else found


def read(file: Path, sheets: Mapping[str, pa.Schema]) -> dict[str, list[tuple[object, ...]]]:
    """The rows of the sheets, with the values that their cells have in columns of these types."""
    with pytest.MonkeyPatch.context() as patch:
        # What openpyxl makes of a date has milliseconds only.
        patch.setattr("openpyxl.worksheet._reader.from_excel", lambda serial, *_, **__: serial)
        book = openpyxl.load_workbook(file)
    return {
        name: [
            tuple(value(cell, kind) for cell, kind in zip(line, schema.types, strict=True))
            for line in book[name].iter_rows(min_row=2)
        ]
        for name, schema in sheets.items()
    }
