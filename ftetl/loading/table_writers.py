"""Writes the tables of one run, every table in every format, batch by batch, and validates them as they lie on disk."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Protocol

import pyarrow as pa

from ftetl.contract import frictionless, odcs, tables
from ftetl.contract.arrow_schema import schema
from ftetl.errors import StorageError
from ftetl.loading import formats
from ftetl.loading.unchanged_rows import UnchangedRows
from ftetl.loading.write_queue import WriteQueue
from ftetl.snapshot.table_reader import TableReader
from ftetl.store.target import Transaction

FINGERPRINT = "ftetl.contract"
_MANY = 100_000  # rows; with fewer, validation is mostly pandera's own Python, which two threads only do in turn


class RowWriter(Protocol):
    """Takes the rows of tables, batch after batch, each table in key order."""

    rows: dict[str, int]  # by table how many rows were written

    def write_rows(self, name: str, rows: pa.Table, *, are_stored: bool = False) -> None:
        """Add rows to a table; `are_stored`: these are certainly the next ones of the version before."""


class TableWriters:
    """Open files for every table in every format; `close` them before they are validated and committed."""

    def __init__(self, transaction: Transaction, chosen_formats: Iterable[str], *, csv_raw: bool) -> None:
        self._transaction = transaction
        self._csv_raw = csv_raw
        self._writers: dict[str, dict[str, formats.Writer]] = {}  # by table whose files are being written, and format
        self._files: list[Any] = []
        self._unchanged: dict[str, UnchangedRows] = {}
        self._kept: set[str] = set()
        self.rows: dict[str, int] = dict.fromkeys(tables(), 0)
        self.formats = formats.with_reference(chosen_formats)
        self._modules = {name: formats.load_format(name) for name in self.formats}
        self._queues = {name: WriteQueue() for name in self.formats}

    def keep_unchanged(self, stored: TableReader, names: Iterable[str]) -> None:
        """Leave the files of these tables as they are, if all rows turn out to be those of the version before.

        To be called before any rows are written. Nothing else that is in the files may be another than before.
        """
        self._unchanged = {name: UnchangedRows(stored, name) for name in names}

    def write_rows(self, name: str, rows: pa.Table, *, are_stored: bool = False) -> None:
        """Add rows to a table; `are_stored`: these are certainly the next ones of the version before."""
        if not rows.num_rows:
            return
        self.rows[name] += rows.num_rows
        if (unchanged := self._unchanged.get(name)) is not None:
            if are_stored:
                unchanged.skip(rows.num_rows)
                return
            if unchanged.take(rows):
                return
            self._write_unchanged(name)
        self._write(name, rows)

    def _write(self, name: str, rows: pa.Table) -> None:
        for suffix, writer in self._writers_of(name).items():
            self._queues[suffix].write(writer, rows)

    def close(self) -> None:
        """Write the last rows of every file, two files at a time, and make them durable."""
        pa.default_memory_pool().release_unused()  # memory of the decoder, which the last rows and pandas need now
        for name in tables():
            if name in self._unchanged and self._keep_files(name):
                self._kept.add(name)
            else:
                self._write_unchanged(name)
                self._writers_of(name)
        for queue in self._queues.values():
            queue.finish()
        with ThreadPoolExecutor(2) as pool:
            writers = chain.from_iterable(writers.values() for writers in self._writers.values())
            list(pool.map(lambda writer: writer.close(), writers))
            list(pool.map(lambda file: file.close(), self._files))

    def _keep_files(self, name: str) -> bool:
        names = [f"{name}.{suffix}" for suffix in self._modules]
        return self._unchanged[name].are_all() and self._transaction.keep_files(names)

    def _write_unchanged(self, name: str) -> None:
        """Write the rows that were held back because they were those of the version before."""
        if (unchanged := self._unchanged.pop(name, None)) is not None:
            for rows in unchanged.rows():
                self._write(name, rows)

    def _writers_of(self, name: str) -> dict[str, formats.Writer]:
        """The writers of a table by format, whose files are made at the first call."""
        if name in self._writers:
            return self._writers[name]
        table = tables()[name]
        metadata = {FINGERPRINT: table.fingerprint, formats.KEY: ",".join(table.sorted_by)}
        if seconds := [column.name for column in table.columns if column.whole_seconds]:
            metadata[formats.SECONDS] = ",".join(seconds)
        writers = self._writers[name] = {}
        for suffix, module in self._modules.items():
            file = self._transaction.create_file(f"{name}.{suffix}")
            self._files.append(file)
            writers[suffix] = module.writer(file, schema(table), metadata=metadata, raw=self._csv_raw)
        return writers

    def write_contracts(self, project: str) -> None:
        """Write the contracts beside the tables, as a Data Package and as an Open Data Contract."""
        for document in (frictionless, odcs):
            with self._transaction.create_file(document.FILE) as file:
                file.write(document.bytes_of(project, self.formats, csv_raw=self._csv_raw))

    def abandon(self) -> None:
        """Leave the files unfinished; the transaction removes them."""
        for queue in self._queues.values():
            queue.abandon()
        for file in self._files:
            file.abandon()

    def validate(self) -> None:
        """Check the closed files against the contracts; of files that are kept, which were checked, only references.

        Raises:
            SoftwareError: They break one; nothing may be committed.
            StorageError: They cannot be read back.
        """
        if self._kept >= {*tables()}:
            return
        from ftetl.validate import focus_checks, table_checks  # here, since they import pandas and pandera

        pa.default_memory_pool().release_unused()
        written = TableReader(self._transaction.path, exact=True)

        def validate_table(name: str) -> None:
            compared = focus_checks.COMPARED_TABLES if name == focus_checks.TABLE else ()
            if not self._kept >= {name, *compared}:
                focus_checks.check_for(name, self.rows)(written, tables()[name], self.rows[name])
            elif not self._kept >= {c.references[0] for c in tables()[name].columns if c.references}:
                table_checks.check_stored_references(written, tables()[name])

        threads = 2 if sum(self.rows.values()) > _MANY else 1
        try:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(validate_table, tables()))
        except StorageError as error:  # of files of this run, which no backup has
            error.next = "nothing was committed; check the disk, then run again"
            raise
