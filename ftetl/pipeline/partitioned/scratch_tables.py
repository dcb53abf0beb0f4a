"""The tables of one part of the jobs while they are built: in temporary files, from which they are checked and read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty, schema
from ftetl.errors import StorageError
from ftetl.snapshot.table_reader import TableReader
from ftetl.validate import focus_checks

_ROWS = 10_000  # in a batch


class ScratchTables(TableReader):
    """Takes the rows of every table, and reads them back; to be closed, which removes the files.

    `parent` is where the files lie; without one, where the system has its temporary files.
    """

    def __init__(self, parent: Path | None = None) -> None:
        super().__init__(None)
        self.rows = dict.fromkeys(tables(), 0)
        self._temporary = tempfile.TemporaryDirectory(prefix="ftetl-", dir=parent)
        self._writers: dict[str, pa.ipc.RecordBatchStreamWriter] = {}

    def write_rows(self, name: str, rows: pa.Table, *, are_stored: bool = False) -> None:  # noqa: ARG002 - nothing is
        """Add rows to a table; there is no version before.

        Raises:
            StorageError: The disk is full.
        """
        if not rows.num_rows:
            return
        try:
            if name not in self._writers:
                self._writers[name] = pa.ipc.new_stream(self._path(name), rows.schema)
            self._writers[name].write_table(rows.combine_chunks(), max_chunksize=_ROWS)
        except OSError as error:
            raise self._full(error) from None
        self.rows[name] += rows.num_rows

    def validate(self) -> None:
        """Check all tables against their contracts, as an export does before it commits.

        Raises:
            SoftwareError: One breaks its contract.
            StorageError: The disk is full.
        """
        try:
            for writer in self._writers.values():
                writer.close()
        except OSError as error:
            raise self._full(error) from None
        for name, table in tables().items():
            if self.rows[name]:
                focus_checks.check_for(name, self.rows)(self, table, self.rows[name])

    def read_schema(self, name: str) -> pa.Schema:
        """As `TableReader.read_schema`."""
        return schema(tables()[name])

    def read_row_groups(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """As `TableReader.read_row_groups`."""
        if name not in self._writers:
            return
        with pa.memory_map(self._path(name)) as source:
            for batch in pa.ipc.open_stream(source):
                rows = pa.Table.from_batches([batch])
                yield rows.select(list(columns)) if columns else rows

    def read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """As `TableReader.read_table`."""
        found = list(self.read_row_groups(name, columns))
        none = empty(tables()[name])
        return pa.concat_tables(found) if found else (none.select(list(columns)) if columns else none)

    def close(self) -> None:
        """Remove the files; safe to call twice."""
        self._temporary.cleanup()

    def __enter__(self) -> ScratchTables:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _path(self, name: str) -> str:
        return str(Path(self._temporary.name, name))

    def _full(self, error: OSError) -> StorageError:
        what = f"tables cannot be written to {Path(self._temporary.name).parent}: {error.strerror or 'error'}"
        return StorageError("S01", what, next="free some space there, then run again")
