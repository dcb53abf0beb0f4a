"""The tables of a committed snapshot, read back from its Parquet files, whole or by row groups.

Every page's checksum is compared on the way. Knows where a snapshot's files lie, not how it was committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ftetl.contract import tables
from ftetl.errors import StorageError
from ftetl.schema import empty, schema


def path(folder: Path, table: str) -> Path:
    """Where a snapshot keeps a table."""
    return folder / f"{table}.parquet"


class Stored:
    """A snapshot's tables; without a folder, the tables of a target that was never committed to: all empty."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A whole table, or some of its columns.

        Raises:
            StorageError: The file cannot be read, or its bytes are not those that were written.
        """
        groups = list(self.groups(name, columns))
        whole = pa.concat_tables(groups) if groups else empty(tables()[name])
        return (whole.select(list(columns)) if columns else whole).combine_chunks()

    def groups(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """A table's row groups in order.

        Raises:
            StorageError: The file cannot be read, or its bytes are not those that were written.
        """
        if self.folder is None or not path(self.folder, name).exists():
            return
        file = path(self.folder, name)
        try:
            with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
                known = set(parquet.schema_arrow.names)
                wanted = [c for c in (columns or schema(tables()[name]).names) if c in known]
                for group in range(parquet.num_row_groups):
                    yield _conform(parquet.read_row_group(group, columns=wanted), name, columns)
        except (OSError, pa.ArrowException) as error:
            raise StorageError(
                f"{file} cannot be read back ({type(error).__name__})",
                next="`ftetl verify` names what is damaged; restore the file, or export into an empty folder",
            ) from error


def _conform(found: pa.Table, name: str, columns: Sequence[str] | None) -> pa.Table:
    """The rows with the contract's columns of today: one that an older contract did not have is null."""
    wanted = schema(tables()[name])
    wanted = pa.schema([wanted.field(c) for c in columns]) if columns else wanted
    if found.schema.names == wanted.names:
        return found
    arrays = [
        found.column(f.name) if f.name in found.schema.names else pa.nulls(found.num_rows, f.type) for f in wanted
    ]
    return pa.Table.from_arrays(arrays, schema=wanted)
