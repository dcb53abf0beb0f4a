"""Parquet, the reference format: exact types and page checksums.

The row groups name the columns that they are sorted by. The file's metadata is the caller's and nothing else: no run,
no time, no machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ftetl.errors import SoftwareError
from ftetl.loading.formats import KEY, require_schema

# All of these determine the bytes: a change rewrites every file of every target.
ROW_GROUP_ROWS = 98_304
ROW_GROUP_CELLS = 3_000_000  # a wide table has fewer rows, since a row group is collected in memory
_LEVEL = 3  # of zstd: 5 % smaller than at 1, in the time that `_repeats` saves
_SAMPLE = 16_384  # the first rows, which decide whether a column of text gets a dictionary
_REPEATS = 2  # average number of times a text occurs from which on a dictionary is smaller and as fast to write


class _Writer:
    """Collects rows to row groups of a fixed size, so that the bytes do not depend on how the rows arrive.

    `metadata` is the file's, and `metadata["ftetl.key"]` names the sorted columns. `raw` changes nothing.

    Raises:
        SoftwareError: The key names a column that the table does not have.
    """

    def __init__(self, sink: BinaryIO, schema: pa.Schema, *, metadata: Mapping[str, str], raw: bool = False) -> None:  # noqa: ARG002
        self._sink, self._schema, self._metadata = sink, schema, metadata
        self._sorting = _sorting(schema, metadata)
        self._group = group_rows(schema)
        self._pending: list[pa.Table] = []
        self._rows = 0
        self._file: pq.ParquetWriter | None = None

    def _opened(self, first: pa.Table) -> pq.ParquetWriter:
        """The file; its first rows decide which columns get a dictionary."""
        if self._file is None:
            self._file = pq.ParquetWriter(
                self._sink,
                self._schema.with_metadata(dict(sorted(self._metadata.items()))),
                compression="zstd",
                compression_level=_LEVEL,
                use_dictionary=[name for name in self._schema.names if _repeats(first.column(name))],
                write_page_checksum=True,
                write_page_index=True,
                sorting_columns=self._sorting,
                store_decimal_as_integer=True,
            )
        return self._file

    def __del__(self) -> None:
        # An abandoned pyarrow writer would write its footer now, to a sink that may be closed already.
        if file := getattr(self, "_file", None):
            file.is_open = False

    def write(self, table: pa.Table) -> None:
        require_schema(table, self._schema)
        self._pending.append(table)
        self._rows += table.num_rows
        while self._rows >= self._group:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._opened(self._schema.empty_table()).close()

    def _flush(self) -> None:
        rows = pa.concat_tables(self._pending) if self._pending else self._schema.empty_table()
        rest = rows.slice(self._group)
        self._pending, self._rows = [rest], rest.num_rows
        self._write_group(rows.slice(0, self._group))

    def _write_group(self, rows: pa.Table) -> None:
        """Write one row group, or two halves of it where a column has more than 2 GiB of text."""
        if not rows.num_rows:
            return
        group = rows.combine_chunks()
        if all(column.num_chunks == 1 for column in group.columns):
            self._opened(group).write_table(group.replace_schema_metadata(None), row_group_size=rows.num_rows)
            return
        half = rows.num_rows // 2
        self._write_group(rows.slice(0, half))
        self._write_group(rows.slice(half))


writer = _Writer


def group_rows(schema: pa.Schema) -> int:
    """The number of rows of all row groups but the last."""
    return max(1, min(ROW_GROUP_ROWS, ROW_GROUP_CELLS // max(1, len(schema))))


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether a column gets a dictionary, which costs time, and where values hardly repeat also space."""
    if pa.types.is_timestamp(column.type):
        return False
    if not pa.types.is_string(column.type):
        return True
    sample = column.slice(0, _SAMPLE)
    return bool(pc.count_distinct(sample).as_py() * _REPEATS <= len(sample) - sample.null_count)


def _sorting(schema: pa.Schema, metadata: Mapping[str, str]) -> list[pq.SortingColumn] | None:
    key = metadata.get(KEY)
    if not key:
        return None
    positions = [schema.get_field_index(name) for name in key.split(",")]
    if -1 in positions:
        raise SoftwareError("B02", "a table's key names a column that it does not have", next="please report this")
    return [pq.SortingColumn(position) for position in positions]
