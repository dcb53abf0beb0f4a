"""Writes the tables of one run, every table in every format, batch by batch, and validates them as they lie on disk."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pyarrow as pa

from ftetl.contract import frictionless, odcs, tables
from ftetl.contract.arrow_schema import schema
from ftetl.errors import StorageError
from ftetl.loading import formats
from ftetl.snapshot.table_reader import TableReader
from ftetl.store.target import Transaction

FINGERPRINT = "ftetl.contract"
_MANY = 100_000  # rows; with fewer, validation is mostly pandera's own Python, which two threads only do in turn


class TableWriters:
    """Open files for every table in every format; `close` them before they are validated and committed."""

    def __init__(self, transaction: Transaction, chosen_formats: Iterable[str], *, csv_raw: bool) -> None:
        self._transaction = transaction
        self._csv_raw = csv_raw
        self._writers: dict[str, list[formats.Writer]] = {name: [] for name in tables()}
        self._files: list[Any] = []
        self.rows: dict[str, int] = dict.fromkeys(tables(), 0)
        self.formats = formats.with_reference(chosen_formats)
        modules = {name: formats.load_format(name) for name in self.formats}
        for name, table in tables().items():
            metadata = {FINGERPRINT: table.fingerprint, formats.KEY: ",".join(table.sorted_by)}
            if seconds := [column.name for column in table.columns if column.whole_seconds]:
                metadata[formats.SECONDS] = ",".join(seconds)
            for suffix, module in modules.items():
                file = transaction.create_file(f"{name}.{suffix}")
                self._files.append(file)
                self._writers[name].append(module.writer(file, schema(table), metadata=metadata, raw=csv_raw))

    def write_rows(self, name: str, rows: pa.Table) -> None:
        """Add rows to a table."""
        self.rows[name] += rows.num_rows
        for writer in self._writers[name]:
            writer.write(rows)

    def close(self) -> None:
        """Write the last rows of every file, two files at a time, and make them durable."""
        pa.default_memory_pool().release_unused()  # memory of the decoder, which the last rows and pandas need now
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda writer: writer.close(), chain.from_iterable(self._writers.values())))
            list(pool.map(lambda file: file.close(), self._files))

    def write_contracts(self, project: str) -> None:
        """Write the contracts beside the tables, as a Data Package and as an Open Data Contract."""
        for document in (frictionless, odcs):
            with self._transaction.create_file(document.FILE) as file:
                file.write(document.bytes_of(project, self.formats, csv_raw=self._csv_raw))

    def abandon(self) -> None:
        """Leave the files unfinished; the transaction removes them."""
        for file in self._files:
            file.abandon()

    def validate(self) -> None:
        """Check the closed files against the contracts.

        Raises:
            SoftwareError: They break one; nothing may be committed.
            StorageError: They cannot be read back.
        """
        from ftetl.validate import focus_checks  # here, since it imports pandas and pandera

        pa.default_memory_pool().release_unused()
        written = TableReader(self._transaction.path, exact=True)

        def validate_table(name: str) -> None:
            focus_checks.check_for(name, self.rows)(written, tables()[name], self.rows[name])

        threads = 2 if sum(self.rows.values()) > _MANY else 1
        try:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(validate_table, tables()))
        except StorageError as error:  # of files of this run, which no backup has
            error.next = "nothing was committed; check the disk, then run again"
            raise
