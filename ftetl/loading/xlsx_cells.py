"""Arrow columns as cells of an Excel sheet, and what of them Excel cannot hold as it is.

Limits: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d3156e9f8 (15 digits of a number, 32,767
characters of a cell, 1,048,576 rows); dates begin in 1900, with a 29 February that never was.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

ROWS: Final = 1_048_576  # of a sheet, with the header
CHARACTERS: Final = 32_767  # of a cell, in units of UTF-16
DIGITS: Final = 15  # of a number
TIME: Final = "yyyy-mm-dd hh:mm:ss.000"

# What happened to cells that do not fit, as the notes tell it.
CUT: Final = f"texts cut to {CHARACTERS:,} characters"
LONG_NUMBERS: Final = f"numbers of more than {DIGITS} digits written as text"
NOT_FINITE: Final = "numbers that are not finite written as text"
FAR_TIMES: Final = "times before March 1900, from the year 9999 on, or finer than Excel's written as text"

_DAY: Final = 86_400_000_000  # microseconds
_EPOCH: Final = 25_569  # the serial number of 1 January 1970
_FIRST: Final = -2_203_891_200_000_000  # 1 March 1900; in Excel, dates before it are one day off
_END: Final = 253_370_764_800_000_000  # 1 January 9999


class Real(float):
    """A number that XlsxWriter writes with all its digits; of an ordinary float it keeps 16."""

    def __format__(self, spec: str) -> str:
        return repr(float(self))


Cell = str | bool | int | Real | None
Lost = Counter[str]


def number_format(kind: pa.DataType) -> str:
    """The format in which Excel shows the values of a type."""
    if pa.types.is_timestamp(kind):
        return TIME
    if pa.types.is_decimal(kind):
        return "#,##0.00" + "#" * max(kind.scale - 2, 0)
    if pa.types.is_integer(kind):
        return "0"
    return "@" if pa.types.is_string(kind) else "General"  # `@`: text stays text when a person edits it


def cells(column: pa.ChunkedArray, lost: Lost) -> list[Cell]:
    """The cells of a column; None is an empty cell. What does not fit is counted in `lost`."""
    if pa.types.is_timestamp(column.type):
        return _times(column, lost)
    convert: Callable[[Any, Lost], Cell] = lambda value, _: value  # noqa: E731 - of booleans
    if pa.types.is_string(column.type):
        longest = pc.max(pc.binary_length(column)).as_py() or 0
        if longest <= CHARACTERS:
            return list(column.to_pylist())
        convert = _text
    elif pa.types.is_decimal(column.type):
        convert = _decimal
    elif pa.types.is_integer(column.type):
        convert = _integer
    elif pa.types.is_floating(column.type):
        convert = _real
    return [None if value is None else convert(value, lost) for value in column.to_pylist()]


def _text(value: str, lost: Lost) -> str:
    units = value.encode("utf-16-le")
    if len(units) <= 2 * CHARACTERS:
        return value
    lost[CUT] += 1
    return units[: 2 * CHARACTERS].decode("utf-16-le", "ignore")  # half of a pair at the end goes too


def _integer(value: int, lost: Lost) -> Cell:
    if abs(value) < 10**DIGITS:
        return value
    lost[LONG_NUMBERS] += 1
    return str(value)


def _decimal(value: Any, lost: Lost) -> Cell:
    digits = f"{value:f}"
    if len(digits.replace(".", "").strip("-0")) <= DIGITS:
        return Real(value)
    lost[LONG_NUMBERS] += 1
    return digits


def _real(value: float, lost: Lost) -> Cell:
    if math.isfinite(value):
        return Real(value)
    lost[NOT_FINITE] += 1
    return str(value)


def _times(column: pa.ChunkedArray, lost: Lost) -> list[Cell]:
    """Days since the end of 1899 where they hold every microsecond, else text in ISO 8601."""
    micros = column.cast(pa.int64()).to_pylist()
    found: list[Cell] = []
    for row, value in enumerate(micros):
        if value is None:
            found.append(None)
            continue
        days, rest = divmod(value, _DAY)
        serial = days + _EPOCH + rest / _DAY
        if _FIRST <= value < _END and round((serial - _EPOCH - days) * _DAY) == rest:
            found.append(Real(serial))
            continue
        lost[FAR_TIMES] += 1
        plain = column[row].cast(pa.timestamp("us")).cast(pa.string()).as_py()
        found.append(plain.replace(" ", "T") + "Z")
    return found
