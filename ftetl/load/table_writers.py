"""The files of one run while they are written: every table in every format, rows going in batch after batch.

And the gate that they pass before they are published. Knows formats by their protocol, and no rows by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa

from ftetl.contract import frictionless, odcs, tables
from ftetl.contract.arrow_schema import schema
from ftetl.errors import StorageError
from ftetl.load import formats
from ftetl.snapshot.table_reader import TableReader
from ftetl.store.target import Transaction

FINGERPRINT = "ftetl.contract"
_MANY = 100_000  # rows up to which the gate is mostly pandera's own Python, in which two threads only wait in turn


class TableWriters:
    """Open files for every table; leave them with `close`, before they are gated and committed."""

    def __init__(self, transaction: Transaction, chosen_formats: Iterable[str], *, csv_raw: bool) -> None:
        self._transaction = transaction
        self._csv_raw = csv_raw
        self._writers: dict[str, list[formats.Writer]] = {}
        self._sinks: list[Any] = []
        self.rows: dict[str, int] = dict.fromkeys(tables(), 0)
        self.formats = formats.with_reference(chosen_formats)
        modules = {name: formats.load_format(name) for name in self.formats}
        for name, table in tables().items():
            metadata = {FINGERPRINT: table.fingerprint, formats.KEY: ",".join(table.sorted_by)}
            if seconds := [column.name for column in table.columns if column.whole_seconds]:
                metadata[formats.SECONDS] = ",".join(seconds)
            for suffix, module in modules.items():
                sink = transaction.create_file(f"{name}.{suffix}")
                self._sinks.append(sink)
                writer = module.writer(sink, schema(table), metadata=metadata, raw=csv_raw)
                self._writers.setdefault(name, []).append(writer)

    def write_rows(self, name: str, rows: pa.Table) -> None:
        """Put more rows into a table."""
        self.rows[name] += rows.num_rows
        for writer in self._writers[name]:
            writer.write(rows)

    def close(self) -> None:
        """Finish every file; the last rows of the tables are written side by side."""
        pa.default_memory_pool().release_unused()  # what the reading needed, the last rows and the gate need again
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda writer: writer.close(), [w for found in self._writers.values() for w in found]))
            list(pool.map(lambda sink: sink.close(), self._sinks))

    def write_contracts(self, project: str) -> None:
        """Put the contracts beside the tables, in the words of others."""
        for room in (frictionless, odcs):
            with self._transaction.create_file(room.FILE) as file:
                file.write(room.bytes_of(project, self.formats, csv_raw=self._csv_raw))

    def abandon(self) -> None:
        """Leave the files unfinished; the transaction removes them."""
        with ExitStack() as stack:
            for sink in self._sinks:
                stack.callback(sink.abandon)

    def validate(self) -> None:
        """Check what is really on disk against the contracts.

        Raises:
            SoftwareError: It breaks one; nothing may be committed.
        """
        from ftetl.validate import (
            focus_checks,  # here, since it imports pandas and pandera, which another thread has begun with
        )

        pa.default_memory_pool().release_unused()
        written = TableReader(self._transaction.path, exact=True)

        def validate_table(name: str) -> None:
            focus_checks.check_for(name, self.rows)(written, tables()[name], self.rows[name])

        threads = 2 if sum(self.rows.values()) > _MANY else 1
        with ThreadPoolExecutor(threads) as pool, _of_this_run():
            list(pool.map(validate_table, tables()))


@contextmanager
def _of_this_run() -> Iterator[None]:
    """What cannot be read back was written a moment ago: there is nothing to be restored."""
    try:
        yield
    except StorageError as error:
        error.next = "nothing was committed; check the disk, then run again"
        raise
