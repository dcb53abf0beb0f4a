r"""CSV, for spreadsheets and for tools that read nothing else.

UTF-8, CRLF, a header also without rows. Text, times and decimals are quoted; NULL is an empty cell, the empty text is
`""`. Reals have a fraction or an exponent, so that readers which guess types take no column of them for integers. NUL,
at which many readers stop, is written as the four characters `\x00`. A text that a spreadsheet would run as a formula
gets a leading `'`. Since `'` is among the characters that may precede a formula, removing one `'` from every cell that
matches `FORMULA` restores the text exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.loading.exact_text import decimal_text, time_text
from ftetl.loading.formats import SECONDS, require_schema

# OWASP's triggers, the full-width ones too, at the start of a cell or after spaces and quotes; in RE2's syntax.
FORMULA = r"""^[\p{Zs}\x{feff}"']*[=+\-@\t\r\n\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"""
_SPECIAL = rf"""{FORMULA}|["\x00]"""  # texts that are not written as they are; nearly no column has one
BATCH_ROWS = 16_384  # bounds the memory of the texts; the bytes do not depend on it
BATCH_BYTES = 1 << 28  # a batch becomes one text, which holds less than 2 GiB
_EOL = "\r\n"


class _Writer:
    """Writes one table, the header at once. `raw` leaves formulas as they are.

    Times in the columns that `metadata["ftetl.seconds"]` names are written without a fraction. The lines are made here,
    since Arrow's writer prints the real 29.0 as `29`.
    """

    def __init__(self, sink: BinaryIO, schema: pa.Schema, *, metadata: Mapping[str, str], raw: bool = False) -> None:
        self._sink = sink
        self._seconds = frozenset(metadata.get(SECONDS, "").split(","))
        self._schema = schema
        self._guard = not raw
        names = (name.replace('"', '""') for name in schema.names)
        sink.write((",".join(f'"{name}"' for name in names) + _EOL).encode())

    def write(self, table: pa.Table) -> None:
        require_schema(table, self._schema)
        for whole in table.to_batches(max_chunksize=BATCH_ROWS):
            for batch in _pieces(whole):
                self._sink.write(self._lines(batch).buffers()[2])

    def close(self) -> None:
        pass

    def _lines(self, batch: pa.RecordBatch) -> Any:
        """The lines of a batch, one text each."""
        parts: list[Any] = []  # columns of cells, and the texts between them
        between = ""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if column.null_count < len(column):
                cells, quoted = self._cells(name, column)
                if quoted and column.null_count:
                    cells, quoted = pc.binary_join_element_wise('"', cells, '"', ""), False
                quote = '"' if quoted else ""
                parts += [between + quote, cells]
                between = quote
            between += ","
        parts.append(between[:-1] + _EOL)
        return pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")

    def _cells(self, name: str, column: Any) -> tuple[Any, bool]:
        """The text of a column without its quotes, and whether it has some."""
        if name in self._seconds:
            column = column.cast(pa.timestamp("s", "UTC"), safe=False)
        if pa.types.is_string(column.type):
            return _text(column, guard=self._guard), True
        if pa.types.is_timestamp(column.type):
            return time_text(column), True
        if pa.types.is_decimal(column.type):
            return decimal_text(column), True
        texts = column.cast(pa.string())
        return _with_fraction(texts) if pa.types.is_floating(column.type) else texts, False


writer = _Writer


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in parts that are small enough to become one text."""
    if batch.num_rows < 2 or batch.nbytes <= BATCH_BYTES:
        yield from [batch] * bool(batch.num_rows)
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


def _text(array: Any, *, guard: bool) -> Any:
    if not pc.any(pc.match_substring_regex(array, _SPECIAL)).as_py():
        return array
    array = pc.replace_substring(array, pattern="\0", replacement=r"\x00")
    doubled = pc.replace_substring(array, pattern='"', replacement='""')
    if not guard:
        return doubled
    return pc.if_else(pc.match_substring_regex(array, FORMULA), pc.binary_join_element_wise("'", doubled, ""), doubled)


def _with_fraction(digits: Any) -> Any:
    """The digits of reals, with `.0` after those of a whole one."""
    is_whole = pc.invert(pc.match_substring_regex(digits, "[.e]"))
    if not pc.any(is_whole).as_py():
        return digits
    return pc.binary_join_element_wise(digits, pc.if_else(is_whole, ".0", ""), "")
