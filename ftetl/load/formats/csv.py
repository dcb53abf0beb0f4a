r"""CSV, for spreadsheets and for tools that read nothing else.

UTF-8, CRLF, a header also without rows. Text, times and decimals are quoted; NULL is an empty cell, the empty text is
`""`. NUL, at which many readers stop, is written as the four characters `\x00`. A text that a spreadsheet would run as
a formula gets a leading `'`. Since `'` is among the characters that may precede a formula, removing one `'` from every
cell that matches `FORMULA` restores the text exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from ftetl.load.formats import SECONDS, require_schema

# OWASP's triggers, the full-width ones too, at the start of a cell or after spaces and quotes; in RE2's syntax.
FORMULA = r"""^[\p{Zs}\x{feff}"']*[=+\-@\t\r\n\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"""
BATCH_ROWS = 16_384  # bounds the memory of the texts; the bytes do not depend on it


class _Writer:
    """Writes one table, the header at once. `raw` leaves formulas as they are.

    Times in the columns that `metadata["ftetl.seconds"]` names are written without a fraction.
    """

    def __init__(self, sink: BinaryIO, schema: pa.Schema, *, metadata: Mapping[str, str], raw: bool = False) -> None:
        self._seconds = frozenset(metadata.get(SECONDS, "").split(","))
        self._schema = schema
        self._guard = not raw
        cells = pa.schema([(field.name, _cell_type(field.type)) for field in schema])
        self._file = pcsv.CSVWriter(sink, cells, write_options=pcsv.WriteOptions(eol="\r\n"))

    def write(self, table: pa.Table) -> None:
        require_schema(table, self._schema)
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            cells = [self._cells(name, batch.column(name)) for name in table.column_names]
            self._file.write_batch(pa.record_batch(cells, names=table.column_names))

    def close(self) -> None:
        self._file.close()

    def _cells(self, name: str, column: Any) -> Any:
        """The text of a column; Arrow's own text is right for integers, reals and booleans."""
        if name in self._seconds:
            column = column.cast(pa.timestamp("s", "UTC"), safe=False)
        if pa.types.is_string(column.type):
            return _text(column, guard=self._guard)
        if pa.types.is_timestamp(column.type):
            return _time(column)
        if pa.types.is_decimal(column.type):
            return _decimal(column)
        return column


writer = _Writer


def _cell_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_timestamp(kind) or pa.types.is_decimal(kind) else kind


def _text(array: Any, *, guard: bool) -> Any:
    array = pc.replace_substring(array, pattern="\0", replacement=r"\x00")
    if not guard:
        return array
    return pc.if_else(pc.match_substring_regex(array, FORMULA), pc.binary_join_element_wise("'", array, ""), array)


def _time(array: Any) -> Any:
    # Without the zone: Arrow would look UTC up in a time zone database, which a small container may not have.
    plain = array.view(pa.timestamp(array.type.unit)).cast(pa.string())
    return pc.binary_join_element_wise(pc.replace_substring(plain, pattern=" ", replacement="T"), "Z", "")


def _decimal(array: Any) -> Any:
    """All digits, never an exponent: Arrow's own text of 0 with nine places is `0E-9`."""
    places = array.type.scale
    units = array.view(pa.decimal128(38, 0))  # the same bytes, read as a whole number of the smallest unit
    digits = pc.utf8_lpad(pc.abs(units).cast(pa.string()), width=places + 1, padding="0")
    sign = pc.if_else(pc.less(units, pa.scalar(0, units.type)), "-", "")
    if not places:
        return pc.binary_join_element_wise(sign, digits, "")
    integer = pc.utf8_slice_codeunits(digits, start=0, stop=-places)
    fraction = pc.utf8_slice_codeunits(digits, start=-places)
    return pc.binary_join_element_wise(pc.binary_join_element_wise(sign, integer, ""), fraction, ".")
