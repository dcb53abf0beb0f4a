"""Reads the tables of a committed snapshot from its Parquet files, whole or by row groups, comparing page checksums."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty, schema
from ftetl.errors import StorageError
from ftetl.store.manifest import Manifest, snapshot_folder

Fetch = Callable[[Iterable[str]], None]


def open_tables(target: Path, manifest: Manifest | None, fetch: Fetch | None = None) -> TableReader:
    """The tables of the snapshot that a manifest of the target describes; without a manifest all are empty.

    `fetch` downloads files of these names, if they are not there.
    """
    if manifest is None:
        return TableReader(None)
    return TableReader(snapshot_folder(target, manifest), {file.name for file in manifest.files}, fetch=fetch)


_ADVICE = "`ftetl verify` names what is damaged; restore the file, or export into an empty folder"


def table_file(folder: Path, table: str) -> Path:
    """The Parquet file of a table in a snapshot's folder."""
    return folder / f"{table}.parquet"


class TableReader:
    """Reads the tables of a snapshot; without a folder, as before the first commit, all are empty.

    `files` are the names of the snapshot's files: a table without one, which the contracts of its time did not have, is
    empty. Tables get the columns of the current contracts, except for an `exact` reader, which reads what is on disk.
    Decimals of an older contract that do not fit today's type keep their own.
    """

    def __init__(
        self,
        folder: Path | None,
        files: Collection[str] | None = None,
        *,
        exact: bool = False,
        fetch: Fetch | None = None,
    ) -> None:
        self.folder = folder
        self._ahead: dict[str, Future[pa.Table]] = {}
        self._fetch = fetch
        self._files = files
        self._exact = exact

    def read_ahead(self, name: str) -> None:
        """Begin to read a table in a thread; `read_table` waits for it, and gives it however often it is called."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="ftetl-read-ahead")
        self._ahead[name] = pool.submit(self._read_table, name)
        pool.shutdown(wait=False)

    def read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table, all of it or some columns.

        Raises:
            StorageError: The file cannot be read, or is damaged.
        """
        if name in self._ahead:
            table = self._ahead[name].result()
            return table.select(list(columns)) if columns else table
        return self._read_table(name, columns)

    def _read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        groups = list(self.read_row_groups(name, columns))
        table = pa.concat_tables(groups, promote_options="permissive") if groups else empty(tables()[name])
        return (table.select(list(columns)) if columns else table).combine_chunks()

    def read_schema(self, name: str) -> pa.Schema:
        """The schema of a table.

        Raises:
            StorageError: The file cannot be read.
        """
        file = self._file(name)
        if file is None or not self._exact:
            return schema(tables()[name])
        with _open_parquet(file) as parquet:
            return parquet.schema_arrow

    def count_rows(self, name: str) -> int:
        """The number of rows of a table.

        Raises:
            StorageError: The file cannot be read.
        """
        file = self._file(name)
        if file is None:
            return 0
        with _open_parquet(file) as parquet:
            return int(parquet.metadata.num_rows)

    def read_row_groups(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The row groups of a table in order, with all or some columns.

        Raises:
            StorageError: The file cannot be read, or is damaged.
        """
        file = self._file(name)
        if file is None:
            return
        with _open_parquet(file) as parquet:
            on_disk = parquet.schema_arrow.names
            wanted = columns or (on_disk if self._exact else schema(tables()[name]).names)
            for number in range(parquet.num_row_groups):
                group = parquet.read_row_group(number, columns=[c for c in wanted if c in on_disk])
                yield group if self._exact else _conform(group, name, columns)

    def _file(self, name: str) -> Path | None:
        if self.folder is None:
            return None
        file = table_file(self.folder, name)
        exists = self._exact or (file.exists() if self._files is None else file.name in self._files)
        if exists and self._fetch:
            self._fetch([file.name])
        return file if exists else None


@contextmanager
def _open_parquet(file: Path) -> Iterator[pq.ParquetFile]:
    try:
        # By the bytes of the name, which may be no Unicode, or not in the locale's encoding.
        with (
            pa.OSFile(os.fsencode(file)) as source,
            pq.ParquetFile(source, page_checksum_verification=True) as parquet,
        ):
            yield parquet
    except (OSError, pa.ArrowException) as error:
        what = f"{file} cannot be read back ({type(error).__name__})"
        raise StorageError("S13", what, next=_ADVICE) from error


def _conform(rows: pa.Table, name: str, columns: Sequence[str] | None) -> pa.Table:
    """The rows with the columns of today's contract; those that an older contract did not have are null."""
    wanted = schema(tables()[name])
    wanted = pa.schema([wanted.field(c) for c in columns]) if columns else wanted
    if rows.schema.equals(wanted):
        return rows
    arrays = [
        _cast_if_it_fits(rows.column(f.name), f.type)
        if f.name in rows.schema.names
        else pa.nulls(rows.num_rows, f.type)
        for f in wanted
    ]
    fields = [field.with_type(array.type) for field, array in zip(wanted, arrays, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _cast_if_it_fits(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        if pa.types.is_decimal(column.type):
            return column
        raise
