"""The tables of a committed snapshot, read back from its Parquet files, whole or by row groups.

Every page's checksum is compared on the way. Knows where a snapshot's files lie, not how it was committed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty, schema
from ftetl.errors import StorageError
from ftetl.store.manifest import Manifest, snapshot_folder


def open_tables(target: Path, manifest: Manifest | None) -> TableReader:
    """The tables of the snapshot that a manifest of the target describes; without a manifest all are empty."""
    if manifest is None:
        return TableReader(None)
    return TableReader(snapshot_folder(target, manifest), {file.name for file in manifest.files})


def table_file(folder: Path, table: str) -> Path:
    """Where a snapshot keeps a table."""
    return folder / f"{table}.parquet"


class TableReader:
    """A snapshot's tables; without a folder, the tables of a target that was never committed to: all empty.

    `files` are the names of the snapshot's files: a table that is not among them is one that the snapshot's contracts
    did not have, and empty. Tables are given the columns of today's contracts, except to an `exact` reader, who gets
    what lies on disk.
    """

    def __init__(self, folder: Path | None, files: Collection[str] | None = None, *, exact: bool = False) -> None:
        self.folder = folder
        self._files = files
        self._exact = exact

    def read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A whole table, or some of its columns.

        Raises:
            StorageError: The file cannot be read, or its bytes are not those that were written.
        """
        groups = list(self.read_row_groups(name, columns))
        whole = pa.concat_tables(groups) if groups else empty(tables()[name])
        return (whole.select(list(columns)) if columns else whole).combine_chunks()

    def read_schema(self, name: str) -> pa.Schema:
        """The columns of a table, which may have no row.

        Raises:
            StorageError: The file cannot be read.
        """
        file = self._file(name)
        if file is None or not self._exact:
            return schema(tables()[name])
        with _reading(file), _opened(file) as source, pq.ParquetFile(source) as parquet:
            return parquet.schema_arrow

    def read_row_groups(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """A table's row groups in order.

        Raises:
            StorageError: The file cannot be read, or its bytes are not those that were written.
        """
        file = self._file(name)
        if file is None:
            return
        with (
            _reading(file),
            _opened(file) as source,
            pq.ParquetFile(source, page_checksum_verification=True) as parquet,
        ):
            known = parquet.schema_arrow.names
            wanted = known if self._exact else schema(tables()[name]).names
            wanted = [c for c in (columns or wanted) if c in known]
            for group in range(parquet.num_row_groups):
                found = parquet.read_row_group(group, columns=wanted)
                yield found if self._exact else _conform(found, name, columns)

    def _file(self, name: str) -> Path | None:
        if self.folder is None:
            return None
        file = table_file(self.folder, name)
        is_there = self._exact or (file.exists() if self._files is None else file.name in self._files)
        return file if is_there else None


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StorageError(
            "S13",
            f"{file} cannot be read back ({type(error).__name__})",
            next="`ftetl verify` names what is damaged; restore the file, or export into an empty folder",
        ) from error


def _opened(file: Path) -> pa.NativeFile:
    # By the bytes of the name: a name that is no Unicode, or a locale that cannot say it, must not cost the run.
    return pa.OSFile(os.fsencode(file))


def _conform(found: pa.Table, name: str, columns: Sequence[str] | None) -> pa.Table:
    """The rows with the contract's columns of today: one that an older contract did not have is null."""
    wanted = schema(tables()[name])
    wanted = pa.schema([wanted.field(c) for c in columns]) if columns else wanted
    if found.schema.equals(wanted):
        return found
    arrays = [
        found.column(f.name).cast(f.type) if f.name in found.schema.names else pa.nulls(found.num_rows, f.type)
        for f in wanted
    ]
    return pa.Table.from_arrays(arrays, schema=wanted)
