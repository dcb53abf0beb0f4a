"""Parquet: the reference format, which keeps every type exactly and finds its own bit rot.

Pages carry checksums, the row groups say by which columns they are sorted, and the file's metadata is what the caller
gave and nothing else: no run, no time, no machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ftetl.errors import SoftwareError
from ftetl.formats import KEY, Writer, require

SUFFIX = "parquet"
ROW_GROUP_ROWS = 131_072  # part of what makes the bytes: a change rewrites every file of every target


def writer(sink: BinaryIO, schema: pa.Schema, *, metadata: Mapping[str, str], raw: bool = False) -> Writer:  # noqa: ARG001
    """A writer of one table; `metadata` goes into the file, and `metadata["ftetl.key"]` names the sorted columns.

    Raises:
        SoftwareError: The key names a column that the table does not have.
    """
    return _Writer(sink, schema, metadata)


class _Writer:
    """Collects rows to row groups of a fixed size, so that the bytes do not tell how the rows arrived."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema, metadata: Mapping[str, str]) -> None:
        self._schema = schema
        self._pending: list[pa.Table] = []
        self._rows = 0
        self._file = pq.ParquetWriter(
            sink,
            schema.with_metadata(dict(sorted(metadata.items()))),
            compression="zstd",
            # Moments hardly ever repeat: without a dictionary they take a third of the time and two thirds of the room.
            use_dictionary=[field.name for field in schema if not pa.types.is_timestamp(field.type)],
            write_page_checksum=True,
            write_page_index=True,
            sorting_columns=_sorting(schema, metadata),
            store_decimal_as_integer=True,
        )

    def __del__(self) -> None:
        # An abandoned pyarrow writer would write its footer now, into a sink that may be closed already.
        if hasattr(self, "_file"):
            self._file.is_open = False

    def write(self, table: pa.Table) -> None:
        require(table, self._schema)
        self._pending.append(table)
        self._rows += table.num_rows
        while self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        rows = pa.concat_tables(self._pending) if self._pending else self._schema.empty_table()
        rest = rows.slice(ROW_GROUP_ROWS)
        self._pending, self._rows = [rest], rest.num_rows
        self._put(rows.slice(0, ROW_GROUP_ROWS))

    def _put(self, rows: pa.Table) -> None:
        """One row group, or two halves of it where a column has more than 2 GiB of text."""
        if not rows.num_rows:
            return
        whole = rows.combine_chunks()
        if all(column.num_chunks == 1 for column in whole.columns):
            self._file.write_table(whole.replace_schema_metadata(None), row_group_size=rows.num_rows)
            return
        half = rows.num_rows // 2
        self._put(rows.slice(0, half))
        self._put(rows.slice(half))


def _sorting(schema: pa.Schema, metadata: Mapping[str, str]) -> list[pq.SortingColumn] | None:
    key = metadata.get(KEY)
    if not key:
        return None
    places = [schema.get_field_index(name) for name in key.split(",")]
    if -1 in places:
        raise SoftwareError("B02", "a table's key names a column that it does not have", next="please report this")
    return [pq.SortingColumn(place) for place in places]
